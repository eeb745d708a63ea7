//! The full analysis of a cluster from a loaded snapshot, on one core: every Ingress examined to its status.
//!
//! Bar: 10,000 Ingresses, 10,000 Services and 30,000 pods below 100 ms.

mod support;

use culprit::api::Verdict;
use culprit::probe::Observation;
use culprit::snapshot::Snapshot;
use culprit::snapshot::objects::{Kind, ObjectRef};
use support::world::Size;
use support::{snapshot, well};

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Examines every target; every one of them is Healthy.
fn analyse(snapshot: &Snapshot, targets: &[ObjectRef], answers: Vec<Vec<Observation>>) -> usize {
    let mut probes = 0;
    for (target, answers) in targets.iter().zip(answers) {
        let (status, asked) = well::examine(snapshot, target, answers);
        assert_eq!(status.verdict, Verdict::Healthy, "{:?}", status.message);
        probes += asked;
    }
    probes
}

/// Three pods behind each Service: four requests for each route.
#[divan::bench(args = [1_000, 10_000], sample_count = 20)]
fn three_pods_a_route(bencher: divan::Bencher, routes: usize) {
    measure(bencher, Size::of(routes));
}

/// One pod behind each Service: one request for each route.
#[divan::bench(args = [10_000], sample_count = 20)]
fn one_pod_a_route(bencher: divan::Bencher, routes: usize) {
    measure(bencher, Size { pods_per_route: 1, ..Size::of(routes) });
}

/// Everything in one namespace.
#[divan::bench(args = [10_000], sample_count = 20)]
fn one_namespace(bencher: divan::Bencher, routes: usize) {
    measure(bencher, Size { namespaces: 1, ..Size::of(routes) });
}

fn measure(bencher: divan::Bencher, size: Size) {
    let snapshot = snapshot(size);
    let targets = snapshot.references(Kind::Ingress);
    bencher.with_inputs(|| well::answers(&snapshot, &targets)).bench_local_values(|answers| analyse(&snapshot, &targets, answers));
}
