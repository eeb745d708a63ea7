//! One watch event at the size of a large cluster: the snapshot brought up to date, and the targets that it touches.
//!
//! Bar: below 50 µs.

mod support;

use std::cell::RefCell;

use culprit::controller::touched;
use culprit::snapshot::kubernetes::watch::Event;
use culprit::snapshot::objects::Object;
use serde_json::{Value, json};
use support::world::{App, Size};
use support::{object, snapshot, workloads};

const ROUTES: usize = 10_000;
const SPREAD: Size = Size::of(ROUTES);
const TOGETHER: Size = Size { namespaces: 1, ..SPREAD };

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// A pod becomes ready or not, in turns.
#[divan::bench(args = [SPREAD, TOGETHER])]
fn pod_changes(bencher: divan::Bencher, size: &Size) {
    measure(bencher, *size, 2, |app, turn| {
        let mut pod = workloads::pod(app, 1);
        pod["status"]["conditions"][2]["status"] = json!(if turn { "False" } else { "True" });
        pod
    });
}

/// An endpoint becomes ready or not, in turns.
#[divan::bench(args = [SPREAD, TOGETHER])]
fn slice_changes(bencher: divan::Bencher, size: &Size) {
    measure(bencher, *size, 2, |app, turn| {
        let mut slice = app.slice();
        slice["endpoints"][1]["conditions"]["ready"] = json!(!turn);
        slice
    });
}

/// A pod comes as it was, as it does in every list.
#[divan::bench(args = [SPREAD])]
fn pod_unchanged(bencher: divan::Bencher, size: &Size) {
    measure(bencher, *size, 0, |app, _| workloads::pod(app, 1));
}

/// Applies an event of another route each time, and checks how many targets it touches.
fn measure(bencher: divan::Bencher, size: Size, touches: usize, make: impl Fn(&App, bool) -> Value) {
    let snapshot = RefCell::new(snapshot(size));
    let mut number = 0;
    let input = move || {
        number += 1;
        let app = App::new(size, number * 7 % ROUTES);
        Event::Changed(Box::<Object>::new(object(make(&app, (number / ROUTES).is_multiple_of(2)))))
    };
    bencher.with_inputs(input).bench_local_values(|event| {
        let targets = touched::apply(&mut snapshot.borrow_mut(), event);
        assert_eq!(targets.len(), touches);
        targets
    });
}
