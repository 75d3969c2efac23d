//! What happens when members are lost.

use std::time::Duration;

use cluster_agent::etcd::init::Init;
use cluster_agent::recover::{self, From, QuorumExists, Stays};
use cluster_agent::snapshot;

use crate::lab::{Lab, Machine, PACE};

/// Dead for so long is dead, in a test.
const SOON: Option<Duration> = Some(Duration::from_secs(3));

#[tokio::test]
async fn a_machine_with_a_new_disk_takes_its_seat_again_whenever_it_is_killed() {
    for step in ["never", "after a member is removed", "after a member is added", "before etcd starts", "after etcd starts"] {
        let Some(lab) = Lab::new(3) else { return };
        let mut machines = lab.cluster(3).await;
        machines[1].put("kept", "yes").await;
        let before = machines[1].live().await.unwrap();
        machines[0].die().await;
        machines[0].wipe();
        if step != "never" {
            let mut engine = machines[0].engine();
            engine.die_at = Some(step);
            while engine.tick().await.is_ok() {
                tokio::time::sleep(PACE).await;
            }
            drop(engine);
            machines[0].die().await;
        }
        machines[0].boot();
        machines[0].until("member", "all 3 members are well").await;
        assert_eq!(machines[0].get("kept").await.as_deref(), Some("yes"), "{step}");
        assert_eq!(machines[1].voters().await, ["n1", "n2", "n3"], "{step}");
        let id = |live: &cluster_agent::etcd::seen::Live| live.members.iter().find(|member| member.name == "n1").map(|member| member.id);
        assert_ne!(id(&machines[1].live().await.unwrap()), id(&before), "another member: the old one's votes are forgotten");
        let first = !snapshot::list(&machines[0].config.snapshot.directory).unwrap().is_empty();
        assert!(first, "a snapshot came before the change");
    }
}

#[tokio::test]
async fn a_dead_voter_is_replaced_by_a_standby_and_comes_back_as_a_client() {
    let Some(lab) = Lab::new(3) else { return };
    let mut machines = lab.cluster(3).await;
    let mut standby = lab.machine(4);
    standby.config.etcd.replace_after = SOON;
    standby.boot();
    standby.until("client", "all 3 seats are taken").await;
    machines[1].die().await;
    standby.until("member", "all 3 members are well").await;
    assert_eq!(standby.voters().await, ["n1", "n3", "n4"]);
    machines[1].boot();
    machines[1].until("client", "all 3 seats are taken").await;
    machines[1].put("greeting", "from n2").await;
    assert_eq!(standby.get("greeting").await.as_deref(), Some("from n2"));
}

#[tokio::test]
async fn a_lost_quorum_is_left_to_a_person_who_begins_again_from_a_member() {
    let Some(lab) = Lab::new(3) else { return };
    let mut machines = lab.cluster(3).await;
    let mut standby = lab.machine(4);
    standby.config.etcd.replace_after = SOON;
    standby.boot();
    standby.until("client", "all 3 seats are taken").await;
    machines[0].put("kept", "yes").await;

    let now = jiff::Timestamp::now();
    let begin = |machine: &Machine| (machine.ground.clone(), machine.process.clone());
    let (ground, process) = begin(&machines[0]);
    let refused = recover::recover(&From::Member, &ground, None, &process, now).await.unwrap_err();
    assert!(refused.is::<QuorumExists>(), "{refused:#}");
    stays(&machines[0], Stays::Works).await;
    stays(&standby, Stays::NoData).await;

    // Acknowledged a moment before two of three die.
    machines[0].put("last", "yes").await;
    machines[1].die().await;
    machines[2].die().await;
    for machine in [&machines[0], &standby] {
        machine.until("no-quorum", "2 of 3 members do not answer (n2, n3); nothing is changed by itself").await;
    }
    tokio::time::sleep(SOON.unwrap() * 2).await;
    standby.until("no-quorum", "nothing is changed").await;
    stays(&machines[0], Stays::Alone).await;

    standby.die().await;
    machines[0].die().await;
    recover::recover(&From::Member, &ground, None, &process, now).await.unwrap();
    assert!(ground.data.with_extension("before-restore").exists(), "nothing is thrown away");
    assert!(!ground.data.with_extension("copy").exists(), "no copy is left");
    machines[0].boot();
    machines[0].until("member", "all 1 members are well").await;
    machines[0].put("later", "yes").await;
    // Two old members are a quorum of the cluster that was. They see the new one and do not start.
    machines[1].boot();
    machines[2].boot();
    for old in &machines[1..] {
        old.until("foreign", "rejoin").await;
        assert!(old.process.running().await.unwrap().is_none(), "{} runs its old etcd", old.ground.name);
    }
    for old in 1..3 {
        machines[old].die().await;
        let (ground, process) = begin(&machines[old]);
        recover::rejoin(&ground, None, &process).await.unwrap();
        machines[old].boot();
        for machine in &machines[..=old] {
            machine.until("member", &format!("all {} members are well", old + 1)).await;
        }
        for key in ["kept", "last", "later"] {
            assert_eq!(machines[old].get(key).await.as_deref(), Some("yes"), "{key}");
        }
    }
}

#[tokio::test]
async fn a_member_whose_data_is_damaged_is_given_it_anew_by_the_others() {
    let Some(lab) = Lab::new(3) else { return };
    let mut machines = lab.cluster(3).await;
    machines[0].put("kept", "yes").await;
    let (ground, process) = (machines[2].ground.clone(), machines[2].process.clone());
    machines[2].die().await;
    std::fs::write(ground.data.join("member/snap/db"), "no database").unwrap();
    machines[2].boot();
    machines[0].until("member", "n3").await;
    machines[2].die().await;
    recover::rejoin(&ground, None, &process).await.unwrap();
    machines[2].boot();
    machines[2].until("member", "all 3 members are well").await;
    assert_eq!(machines[2].get("kept").await.as_deref(), Some("yes"));
}

/// What this machine has is not put aside to join others, however often somebody asks for it.
async fn stays(machine: &Machine, why: Stays) {
    let refused = recover::rejoin(&machine.ground, None, &machine.process).await.unwrap_err();
    assert_eq!(refused.downcast_ref(), Some(&why), "{refused:#}");
    assert!(!machine.ground.data.with_extension("before-rejoin").exists(), "{why:?}");
}

#[tokio::test]
async fn a_snapshot_brings_back_what_was_there_and_others_rejoin_by_hand() {
    let Some(lab) = Lab::new(1) else { return };
    let mut machine = lab.cluster(1).await.remove(0);
    machine.put("kept", "yes").await;
    let folder = machine.config.snapshot.directory.clone();
    let file = snapshot::take(machine.client().await, &folder, jiff::Timestamp::now(), &machine.ground.etcdutl).await.unwrap();
    machine.put("kept", "changed later").await;
    machine.die().await;
    let (ground, process) = (machine.ground.clone(), machine.process.clone());

    let damaged = folder.join("damaged.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let now = jiff::Timestamp::now();
    let error = recover::recover(&From::Snapshot(damaged), &ground, None, &process, now).await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error:#}");

    recover::recover(&From::Snapshot(file), &ground, None, &process, now).await.unwrap();
    machine.boot();
    machine.until("member", "all 1 members are well").await;
    assert_eq!(machine.get("kept").await.as_deref(), Some("yes"));
    assert!(machine.ground.data.with_extension("before-restore").exists(), "nothing is thrown away");
}
