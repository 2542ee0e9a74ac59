//! What the calls of one message come to: an order for each pool.

use crate::worker::{Call, Order, PoolHandle};

/// Calls of one message, given to their pools together.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<(PoolHandle, Vec<Order>)>);

impl Calls {
    pub(super) fn add(&mut self, pool: &PoolHandle, call: Call) {
        let order = Order::Run(Box::new(call));
        match self.0.iter_mut().find(|(given, _)| given.number() == pool.number()) {
            Some((_, orders)) => orders.push(order),
            None => self.0.push((pool.clone(), vec![order])),
        }
    }

    pub(super) fn give(self) {
        self.0.into_iter().for_each(|(pool, orders)| pool.order_many(orders));
    }
}
