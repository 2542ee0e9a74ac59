//! The numbers that stand for states and reasons on disk. They are the store's own: a number once given keeps its meaning for
//! ever, whatever becomes of the contract or of the order of variants.

use windlass_shared::domain::{AttemptState, Execution, JobState, OnAgentLost, PlacementPolicy, Preset, Proof, Reason};

/// Something that has a number on disk.
pub(super) trait Code: Sized + Copy {
    /// Its number, 1 or more: 0 is what an absent field reads as.
    fn code(self) -> u32;
    /// What the number stands for.
    fn of(code: u32) -> Option<Self>;
}

macro_rules! codes {
    ($($type:ident { $($code:literal $variant:ident),* $(,)? })*) => {
        $(impl Code for $type {
            // No `_` arm: a new variant must choose its number here.
            fn code(self) -> u32 {
                match self { $(Self::$variant => $code),* }
            }

            fn of(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        })*

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn every_number_stands_for_one_thing_and_none_is_0() {
                $(for code in [$($code),*] {
                    assert_eq!($type::of(code).map(Code::code), Some(code), stringify!($type));
                }
                assert!($type::of(0).is_none(), stringify!($type));)*
            }
        }
    };
}

codes! {
    JobState {
        1 Blocked, 2 Delayed, 3 Queued, 4 Leased, 5 Running, 6 Cancelling, 7 Succeeded, 8 Failed, 9 Cancelled, 10 Expired,
        11 Coalesced,
    }
    PlacementPolicy { 1 LeastLoaded, 2 RoundRobin, 3 WeightedRoundRobin, 4 BinPack, 5 Spread, 6 Sticky }
    AttemptState {
        1 Leased, 2 Starting, 3 Running, 4 Stopping, 5 Succeeded, 6 Failed, 7 TimedOut, 8 Cancelled, 9 Interrupted, 10 Lost,
        11 Rejected, 12 Returned,
    }
    Reason {
        1 ExitCode, 2 Signal, 3 RunTimeout, 4 SpawnFailed, 5 CancelRequested, 6 Drain, 7 Shutdown, 8 AgentLost,
        9 SupervisorLost, 10 AgentFault, 11 Returned, 12 Poison, 13 Unproven, 14 Rejected, 15 OutOfTouch,
        16 HandlerError, 17 WorkerDied, 18 WorkerProtocol, 19 MemoryLimit, 20 OomKilled, 21 WorkerUnresponsive, 22 Abandoned,
        23 Unschedulable,
    }
    Proof { 1 Cgroup, 2 Keeper, 3 Swept, 4 LeaseExpired, 5 None, 6 Operator }
    Preset { 1 None, 2 Default, 3 Conservative, 4 Aggressive }
    Execution { 1 AtLeastOnce, 2 AtMostOnce }
    OnAgentLost { 1 Retry, 2 Fail, 3 Wait }
}
