//! What the controller keeps in memory, counted to the byte: for each object of the snapshot, each Diagnosis and each entry of the queue;
//! and the peak while everything is listed, and listed anew.
//!
//! Fails where a figure is more than 110 % of what `benches/heap.txt` has recorded. `HEAP_RECORD=1` records what is measured,
//! `HEAP_ROUTES` makes the world larger.

#![expect(clippy::print_stdout, reason = "a bench says its figures")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use culprit::api::Diagnosis;
use culprit::controller::diagnoses::Diagnoses;
use culprit::queue::Queue;
use culprit::report::document;
use culprit::snapshot::kubernetes::convert::Convert;
use culprit::snapshot::kubernetes::watch::{self, Event};
use culprit::snapshot::kubernetes::wire;
use culprit::snapshot::objects::{Key, Kind, Object, ObjectRef};
use culprit::snapshot::{Coverage, Snapshot};
use kube::api::ObjectList;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use support::well;
use support::world::{self, Size};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/heap.txt");
/// Objects of a page, as watches ask for them.
const PAGE: usize = 500;

type Figures = BTreeMap<String, usize>;

fn main() -> ExitCode {
    let routes = std::env::var("HEAP_ROUTES").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let size = Size::of(routes);
    let pages = pages(size);
    let statuses = documents(size);
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut figures = Figures::new();

    let mut snapshot = Snapshot::default();
    list(&mut snapshot, &pages, &mut figures);
    let (whole, first) = (now(), peak());
    list(&mut snapshot, &pages, &mut Figures::new());
    figures.insert("route with all its objects".into(), whole / routes);
    figures.insert("peak of a list above what is kept".into(), first - whole);
    figures.insert("peak of a list anew above what is kept".into(), peak() - whole);

    let before = now();
    let mut diagnoses = Diagnoses::default();
    statuses.iter().for_each(|text| drop(diagnoses.apply(serde_json::from_str(text).expect("a Diagnosis"))));
    figures.insert("Diagnosis".into(), (now() - before) / routes);
    let before = now();
    let queue = Queue::default();
    snapshot.references(Kind::Ingress).into_iter().for_each(|target| queue.touch(target));
    figures.insert("entry of the queue".into(), (now() - before) / routes);
    compare(&figures)
}

fn now() -> usize {
    dhat::HeapStats::get().curr_bytes
}

fn peak() -> usize {
    dhat::HeapStats::get().max_bytes
}

/// Lists of every kind as the API server sends them, page by page.
fn pages(size: Size) -> Vec<(Kind, Vec<String>)> {
    let mut by_kind: Vec<(Kind, Vec<Value>)> = Vec::new();
    for object in world::objects(size) {
        let kind: Kind = object["kind"].as_str().and_then(|k| k.parse().ok()).expect("a kind that a snapshot holds");
        match by_kind.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, objects)) => objects.push(object),
            None => by_kind.push((kind, vec![object])),
        }
    }
    let page = |items: &[Value]| json!({"metadata": {"resourceVersion": "1"}, "items": items}).to_string();
    by_kind.into_iter().map(|(kind, objects)| (kind, objects.chunks(PAGE).map(page).collect())).collect()
}

/// The Diagnoses of all routes, as the API server gives them.
fn documents(size: Size) -> Vec<String> {
    let snapshot = support::snapshot(size);
    let targets = snapshot.references(Kind::Ingress);
    let text = |(target, answers): (&ObjectRef, _)| {
        let (status, _) = well::examine(&snapshot, target, answers);
        let mut whole: Diagnosis = document::of(target, Default::default(), status);
        whole.spec.target.name = target.key.name.to_string();
        whole.metadata.uid = Some(world::uid(9, 9));
        whole.metadata.generation = Some(1);
        serde_json::to_string(&whole).expect("a Diagnosis can be written")
    };
    targets.iter().zip(well::answers(&snapshot, &targets)).map(text).collect()
}

/// Lists every kind into a snapshot, as a watch does that begins anew.
fn list(snapshot: &mut Snapshot, pages: &[(Kind, Vec<String>)], figures: &mut Figures) {
    Kind::iter().for_each(|kind| snapshot.cover(kind, Coverage::Complete));
    for (kind, pages) in pages {
        let before = now();
        let mut listed = BTreeSet::new();
        for page in pages {
            // The body of an answer is in memory while it is read.
            let body = page.clone().into_bytes();
            for object in decoded(*kind, &body) {
                listed.insert(object.reference().key);
                watch::apply(snapshot, Event::Changed(Box::new(object)));
            }
        }
        let count = listed.len();
        watch::apply(snapshot, Event::Listed(*kind, std::mem::take::<BTreeSet<Key>>(&mut listed)));
        if count >= PAGE {
            figures.insert(kind.to_string(), now().saturating_sub(before) / count);
        }
    }
}

fn decoded(kind: Kind, body: &[u8]) -> Vec<Object> {
    fn of<K: DeserializeOwned + Clone + Convert>(body: &[u8]) -> Vec<Object> {
        let list: ObjectList<K> = serde_json::from_slice(body).expect("a list");
        list.items.into_iter().map(Convert::convert).collect()
    }
    match kind {
        Kind::Ingress => of::<wire::Ingress>(body),
        Kind::IngressClass => of::<wire::IngressClass>(body),
        Kind::Service => of::<wire::Service>(body),
        Kind::EndpointSlice => of::<wire::EndpointSlice>(body),
        Kind::Pod => of::<wire::Pod>(body),
        Kind::Node => of::<wire::Node>(body),
        Kind::Namespace => of::<wire::Namespace>(body),
        Kind::NetworkPolicy => of::<wire::NetworkPolicy>(body),
        Kind::Deployment => of::<wire::Deployment>(body),
        Kind::ReplicaSet => of::<wire::ReplicaSet>(body),
        kind => panic!("the world holds no {kind}"),
    }
}

/// Prints the figures next to what is recorded, and fails where one has grown.
fn compare(figures: &Figures) -> ExitCode {
    let text = std::fs::read_to_string(RECORDED).unwrap_or_default();
    let read = |line: &str| line.rsplit_once(' ').and_then(|(name, number)| Some((name.trim().to_owned(), number.parse().ok()?)));
    let recorded: Figures = text.lines().filter_map(read).collect();
    let mut grown = 0;
    for (name, bytes) in figures {
        let was = recorded.get(name).copied();
        let verdict = match was {
            Some(was) if *bytes * 100 > was * 110 => {
                grown += 1;
                "more than 110 %"
            }
            Some(_) => "",
            None => "not recorded",
        };
        println!("{name:42} {bytes:>10} B {:>10} recorded {verdict}", was.map_or_else(|| "-".to_owned(), |n| n.to_string()));
    }
    if std::env::var_os("HEAP_RECORD").is_some() {
        let lines: String = figures.iter().map(|(name, bytes)| format!("{name:42} {bytes}\n")).collect();
        std::fs::write(RECORDED, lines).expect("benches/heap.txt can be written");
        return ExitCode::SUCCESS;
    }
    if grown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
