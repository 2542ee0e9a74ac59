//! A disk with no room for reports. Needs root, for a disk of its own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use windlass_shared::convert::FromAgent;
use windlass_shared::domain::{AttemptState, Credit, News, Reason};

use crate::fake::Fake;
use crate::{Agent, bytes, eventually, exec, fifo, lease, open_gate, sh};

/// 1 MiB of memory as a disk, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=700", "none"]).arg(at).status();
        assert!(mounted.unwrap().success(), "needs root");
        Self(at.into())
    }

    /// Takes every byte there is.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[1; 512]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_costs_no_result_stops_new_work_and_is_recovered_from() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let disk = SmallDisk::mount(&dir.path().join("parent/data"));
    let mut fake = Fake::start().await;
    let mut agent = Agent::start_in(dir, &fake.url, &["--slots", "2"]);
    let mut stream = fake.session().await;
    let gate = fifo(&agent, "gate");
    stream.assign(lease(1), &bytes(&sh(&format!("cat {}; exit 7", gate.display())))).await;
    stream.started(lease(1)).await;
    eventually("the start is acknowledged", || agent.outbox_bytes() == 0).await;
    stream.withhold_acks();
    disk.fill();
    open_gate(gate).await;
    assert_eq!(stream.next().await, Some(FromAgent::Credit(takes(0))));
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Failed);
    // What crossed with the word is given back.
    stream.assign(lease(2), &bytes(&exec(&["true"]))).await;
    let returned = stream.news().await;
    assert_eq!((returned.lease, returned.news), (lease(2), News::Returned(Reason::Returned)));
    disk.make_room();
    assert_eq!(stream.next().await, Some(FromAgent::Credit(takes(2))));

    // And now the disk has what it refused.
    agent.kill();
    agent.exit().await;
    let agent = agent.again(&fake.url);
    let mut stream = fake.session().await;
    assert_eq!(stream.hello.inventory, [lease(1), lease(2)]);
    assert_eq!(stream.ended(lease(1)).await.state, AttemptState::Failed);
    assert!(matches!(stream.news().await.news, News::Returned(_)));
    stream.assign(lease(3), &bytes(&exec(&["true"]))).await;
    assert_eq!(stream.ran(lease(3)).await.state, AttemptState::Succeeded);
    agent.finish(&mut stream).await;
}

fn takes(capacity: u32) -> Credit {
    Credit { capacity, slots: Some(2), ..Credit::default() }
}
