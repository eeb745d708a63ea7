//! Every fixture below `tests/causes/`, run through the whole engine, and the registry's own rules.

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use culprit::api::Confidence;
use culprit::causes::{self, HEADINGS};
use support::case::{self, Fixture, Result};

/// What does not hold of a fixture's result, one line each.
fn differences(name: &str, fixture: &Fixture, result: &Result) -> Vec<String> {
    let status = &result.status;
    let expect = &fixture.expect;
    let found: Vec<&str> = status.findings.iter().map(|f| f.cause.as_str()).collect();
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{name}: {what}"));
        }
    };
    check(status.verdict == expect.verdict, format!("verdict is {}, not {} ({:?})", status.verdict, expect.verdict, status.message));
    check(found.first().copied() == expect.cause.as_deref(), format!("found {found:?}, not {:?} first", expect.cause));
    if let (Some(confidence), Some(first)) = (expect.confidence, status.findings.first()) {
        check(first.confidence == confidence, format!("confidence is {}, not {confidence}", first.confidence));
    }
    if let Some(by) = &expect.answered_by {
        check(status.answered_by.map(|a| a.to_string()).as_ref() == Some(by), format!("answered by {:?}, not {by}", status.answered_by));
    }
    if let Some(part) = &expect.message {
        check(status.message.as_ref().is_some_and(|m| m.contains(part)), format!("message is {:?}, without {part:?}", status.message));
    }
    for slug in &expect.also {
        check(found.iter().skip(1).any(|f| f == slug), format!("found {found:?}, without {slug} below the first"));
    }
    for slug in &expect.silent {
        check(!found.contains(&slug.as_str()), format!("{slug} is not silent"));
    }
    for slug in &expect.unknown {
        check(result.unknown.iter().any(|(s, _)| s == slug), format!("{slug} does not say that it cannot tell: {:?}", result.unknown));
    }
    wrong
}

#[test]
fn every_fixture_gets_the_diagnosis_that_it_expects() {
    let only = std::env::var("CASE").unwrap_or_default();
    let mut wrong = Vec::new();
    let mut run = 0;
    for (folder, name, fixture) in case::all() {
        let name = format!("{folder}/{name}");
        if name.contains(&only) {
            wrong.extend(differences(&name, &fixture, &fixture.run()));
            run += 1;
        }
    }
    assert!(run > 0, "no fixture was run");
    assert!(wrong.is_empty(), "{} of {run} fixtures differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// All causes over all fixtures: one that begins to fire elsewhere shows in the difference.
#[test]
fn ranked_findings_of_all_fixtures_stay_as_they_are() {
    let mut report = String::new();
    for (folder, name, fixture) in case::all() {
        let status = fixture.run().status;
        let findings: Vec<String> = status.findings.iter().map(|f| format!("{} ({})", f.cause, f.confidence)).collect();
        let _ = writeln!(report, "{folder}/{name}: {} {}", status.verdict, findings.join(", "));
    }
    insta::assert_snapshot!(report);
}

/// Faults that look the same from the client, each side with the fixture that shows it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LookAlikes {
    about: String,
    sides: BTreeMap<String, String>,
}

#[test]
fn look_alikes_are_told_apart() {
    let text = include_str!("lookalikes.yaml");
    let groups: Vec<LookAlikes> = serde_yaml::from_str(text).expect("tests/lookalikes.yaml");
    let fixtures: BTreeMap<String, Fixture> = case::all().into_iter().map(|(folder, name, f)| (format!("{folder}/{name}"), f)).collect();
    let mut wrong = Vec::new();
    for LookAlikes { about, sides } in &groups {
        assert!(sides.len() > 1, "{about}: one side looks like nothing");
        for (cause, fixture) in sides {
            let Some(found) = fixtures.get(fixture) else {
                wrong.push(format!("{about}: there is no fixture {fixture}"));
                continue;
            };
            let findings = found.run().status.findings;
            if findings.first().map(|f| f.cause.as_str()) != Some(cause) {
                wrong.push(format!("{about}: {fixture} is not named {cause}"));
            }
            let others =
                findings.iter().filter(|f| f.cause != *cause && sides.contains_key(&f.cause) && f.confidence == Confidence::Proven);
            wrong.extend(others.map(|f| format!("{about}: {fixture} is proven to be {} as well", f.cause)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_cause_has_a_case_that_fires_one_that_stays_silent_and_one_that_cannot_tell() {
    let fixtures = case::all();
    let mut missing = Vec::new();
    for cause in causes::all() {
        let of = |prefix: &str| {
            fixtures.iter().any(|(folder, name, f)| {
                folder == cause.slug
                    && name.starts_with(prefix)
                    && match prefix {
                        "fires" => f.expect.cause.as_deref() == Some(cause.slug) || f.expect.also.iter().any(|s| s == cause.slug),
                        "silent" => f.expect.cause.as_deref() != Some(cause.slug),
                        _ => f.expect.unknown.iter().any(|s| s == cause.slug),
                    }
            })
        };
        missing.extend(["fires", "silent", "unknown"].into_iter().filter(|p| !of(p)).map(|p| format!("{}: {p}", cause.slug)));
    }
    assert!(missing.is_empty(), "causes without a kind of case:\n{}", missing.join("\n"));
}

#[test]
fn the_ledger_says_what_was_wrong_and_it_is_not_said_again() {
    let entries: Vec<_> = case::all().into_iter().filter(|(folder, _, _)| folder == "ledger").collect();
    assert!(!entries.is_empty());
    for (_, name, fixture) in entries {
        let said = fixture.said.clone().unwrap_or_else(|| panic!("{name}: what was said wrongly?"));
        let status = fixture.run().status;
        let says = format!("{} {}", status.verdict, status.cause.unwrap_or_default());
        assert_ne!(says.trim(), said, "{name}");
    }
}

#[test]
fn every_fixture_folder_belongs_to_a_cause() {
    let slugs: BTreeSet<&str> = causes::all().map(|c| c.slug).chain(["healthy", "ledger", "several"]).collect();
    let strangers: BTreeSet<String> = case::all().into_iter().map(|(f, _, _)| f).filter(|f| !slugs.contains(f.as_str())).collect();
    assert!(strangers.is_empty(), "folders without a cause: {strangers:?}");
}

#[test]
fn slugs_are_unique_and_name_their_file() {
    let mut seen = BTreeSet::new();
    for (group, causes) in causes::GROUPS {
        for cause in *causes {
            assert!(seen.insert(cause.slug), "{} is there twice", cause.slug);
            let file = format!("{}/src/causes/{group}/{}.rs", env!("CARGO_MANIFEST_DIR"), cause.slug.replace('-', "_"));
            assert!(std::path::Path::new(&file).exists(), "{} has no file {file}", cause.slug);
        }
    }
}

#[test]
fn every_file_of_a_cause_is_registered() {
    let registered: BTreeSet<String> = causes::all().map(|c| c.slug.replace('-', "_")).collect();
    for (group, _) in causes::GROUPS {
        let folder = format!("{}/src/causes/{group}", env!("CARGO_MANIFEST_DIR"));
        for file in std::fs::read_dir(folder).expect("a group's folder can be read") {
            let file = file.expect("a folder entry").path();
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&file).expect("a source file can be read");
            assert!(registered.contains(&name) || !text.contains("static CAUSE"), "{} is in no list", file.display());
        }
    }
}

#[test]
fn documentation_has_all_headings_in_order_and_a_summary_without_full_stop() {
    for cause in causes::all() {
        let headings: Vec<&str> = cause.docs.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{}", cause.slug);
        assert!(
            !cause.summary.ends_with('.') && cause.summary.starts_with(|c: char| !c.is_uppercase() || c == 'E' || c == 'T'),
            "{}",
            cause.slug
        );
        assert!(!cause.signatures.is_empty(), "{} shows as nothing", cause.slug);
    }
}

#[test]
fn causes_explain_only_causes_that_exist() {
    for cause in causes::all() {
        for explained in cause.explains {
            assert!(causes::by_slug(explained).is_some(), "{} explains {explained}, which is no cause", cause.slug);
            assert_ne!(*explained, cause.slug);
        }
    }
}
