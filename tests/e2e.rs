//! End to end, on a real cluster: every fault made for real, named by the controller, and mended.
//!
//! `make e2e` brings the cluster up, installs Culprit as a user would and runs these in the cluster's network. They are ignored
//! by a plain `cargo test`, which says so.

#[path = "support/roles.rs"]
mod roles;

mod e2e {
    pub mod agents;
    pub mod checks;
    pub mod client;
    pub mod cluster;
    pub mod fault;
    pub mod installation;
    pub mod outages;
    pub mod rights;
    pub mod table;
}

use std::time::Duration;

use e2e::cluster::Cluster;
use e2e::fault::Fault;
use e2e::table::Row;
use futures::StreamExt;

/// Faults made at once; more only slow each other down on a small machine.
const AT_ONCE: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn every_fault_is_named_with_its_cause_and_its_mending_is_seen() {
    let cluster = Cluster::connect().await;
    let only = std::env::var("FAULT").unwrap_or_default();
    let faults: Vec<Fault> = Fault::all().into_iter().filter(|f| f.is_meant(&only)).collect();
    assert!(!faults.is_empty() || Fault::alone().iter().any(|f| f.is_meant(&only)), "no fault is called {only}");
    let run = async |fault| (fault, Fault::run(fault, &cluster).await);
    let mut rows: Vec<(&Fault, Row)> = futures::stream::iter(&faults).map(run).buffer_unordered(AT_ONCE).collect().await;
    for (fault, row) in rows.iter_mut().filter(|(_, row)| row.deserves_another()) {
        let at_first = std::mem::take(&mut row.wrong);
        *row = Row { at_first, ..fault.run(&cluster).await };
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    let failed = e2e::table::print(rows);
    assert!(failed.is_empty(), "{} faults went wrong:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn healthy_look_alikes_stay_healthy() {
    let cluster = Cluster::connect().await;
    let cases = Fault::healthy();
    let watched = Duration::from_secs(12);
    let run = async |case| Some((case, Fault::stays_healthy(case, &cluster, watched).await?));
    let at_first: Vec<Option<(&Fault, String)>> = futures::stream::iter(&cases).map(run).buffer_unordered(AT_ONCE).collect().await;
    let mut wrong = Vec::new();
    // A machine that is busy with other tests may fail a request for real; alone it may not.
    for (case, at_first) in at_first.into_iter().flatten() {
        wrong.extend(case.stays_healthy(&cluster, watched).await.map(|again| format!("{at_first}; again: {again}")));
    }
    assert!(wrong.is_empty(), "{} look-alikes were taken for faults:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn a_bad_spec_is_refused_at_apply_with_a_sentence() {
    e2e::installation::bad_specs_are_refused(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn a_diagnosis_is_made_kept_and_goes_with_its_route() {
    e2e::installation::life_of_a_diagnosis(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn one_written_by_hand_is_honoured() {
    e2e::installation::written_by_hand(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn the_one_shot_job_reports_and_writes() {
    e2e::installation::job(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn nothing_is_written_while_nothing_changes() {
    e2e::installation::quiet_at_rest(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn every_replica_has_the_agents_of_all_nodes() {
    e2e::agents::are_connected(&Cluster::connect().await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn who_is_to_reach_whom_is_asked_from_inside_pods() {
    e2e::checks::of_pods(&Cluster::connect().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster: make e2e"]
async fn a_bad_check_is_refused_at_apply_with_a_sentence() {
    e2e::checks::bad_specs_are_refused(&Cluster::connect().await).await;
}

/// What disturbs the whole cluster, run one after the other once the rest is done.
mod alone {
    use super::e2e::cluster::Cluster;
    use super::e2e::fault::Fault;
    use super::e2e::{agents, checks, outages, rights, table};

    macro_rules! alone {
        ($($name:ident: $what:path;)*) => {$(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs the test cluster: make e2e"]
            async fn $name() {
                let begun = std::time::Instant::now();
                $what(&Cluster::connect().await).await;
                println!("took {} s", begun.elapsed().as_secs());
            }
        )*};
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs the test cluster: make e2e"]
    async fn faults_that_the_whole_cluster_feels_are_named() {
        let cluster = Cluster::connect().await;
        let mut rows = Vec::new();
        let only = std::env::var("FAULT").unwrap_or_default();
        for fault in Fault::alone().into_iter().filter(|f| f.is_meant(&only)) {
            rows.push(fault.run(&cluster).await);
        }
        let failed = table::print(rows);
        assert!(failed.is_empty(), "{} faults went wrong:\n{}", failed.len(), failed.join("\n"));
    }

    alone! {
        agents_that_are_cut_off_or_killed_make_nothing_wrong: agents::lost;
        nodes_that_do_not_reach_each_other_are_seen: checks::of_nodes;
        a_silent_watch_is_noticed_and_begun_anew: outages::watches_silent;
        a_spoilt_authority_is_made_anew_and_agents_come_back: agents::authority_spoilt;
        another_replica_takes_over_where_the_leader_is_killed: outages::leader_killed;
        nothing_is_lost_where_etcd_is_frozen: outages::etcd_frozen;
        nothing_is_lost_where_the_api_server_is_stopped_for_a_minute: outages::api_server_stopped;
        nothing_wrong_is_said_where_a_node_is_lost: outages::node_lost;
        rotated_credentials_are_read_anew: outages::credentials_rotated;
        two_controllers_never_fight_over_a_field: outages::two_at_once;
        what_is_forbidden_is_unknown_and_comes_back: outages::kind_forbidden;
        who_is_turned_away_waits_and_writes_later: outages::turned_away;
        z_every_right_of_the_installation_was_used_and_no_other_asked_for: rights::are_used;
    }
}
