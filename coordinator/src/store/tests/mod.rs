//! What every store owes, told once and held against each: memory, SQLite, and SQLite opened anew after every commit. Then
//! what a store on disk owes beyond: restarts, damage, a full disk.

mod bed;
mod conformance;
mod damage;
mod disk;
mod faults;
mod golden;
mod lists;
mod prune;
mod random;
pub(in crate::store) mod records;
mod requeues;
mod restarts;
mod results;
mod script;
mod speed;
mod tools;

/// Each of these functions as a test of each store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod memory {
            use crate::store::tests::bed::{Bed, Kind};
            $(#[test] fn $name() { super::$name(&mut Bed::new(Kind::Memory)); })*
        }
        mod sqlite {
            use crate::store::tests::bed::{Bed, Kind};
            $(#[test] fn $name() { super::$name(&mut Bed::new(Kind::Sqlite)); })*
        }
        mod sqlite_reopened {
            use crate::store::tests::bed::{Bed, Kind};
            $(#[test] fn $name() { super::$name(&mut Bed::new(Kind::Reopened)); })*
        }
    };
}
use on_every_store;
