//! What is fenced does not start without a lease.

use windlass_worker_agent::process::{ExitKind, Proof, Stage};

use crate::support::*;

alone! {
    async fn without_a_lease_nothing_fenced_starts_and_everything_else_does() {
        let warden = start(options());
        let trace = scratch();
        let spec = sh(&format!("touch {}/ran", trace.path().display()));
        let error = warden.spawn_fenced(spec).await.unwrap_err();
        assert_eq!((error.stage, error.errno, error.proof), (Stage::Fence, libc::ETIME, Proof::Keeper));
        assert_eq!(error.to_string(), "fence: Timer expired (ETIME)");
        assert_eq!(status(run(&warden, sh("exit 4")).await.leader), ExitKind::Code(4));
        assert!(!trace.path().join("ran").exists());
        assert_only_the_warden_is_left(&warden).await;
    }
}
