//! Between Snapshot and Diagnosis nothing reads the world: the pure modules use no client, socket, file, clock or chance.

use std::path::{Path, PathBuf};

/// Modules that are pure, as files or folders below src.
const PURE: &[&str] = &[
    "agent/rules.rs",
    "api.rs",
    "api",
    "causes.rs",
    "causes",
    "controller/placing.rs",
    "diagnose.rs",
    "diagnose",
    "engines/touched.rs",
    "evidence.rs",
    "evidence",
    "fact.rs",
    "path.rs",
    "path",
    "probe.rs",
    "probe/head.rs",
    "probe/observation.rs",
    "probe/pod.rs",
    "probe/question.rs",
    "probe/response.rs",
    "probe/signature.rs",
    "probe/special.rs",
    "report.rs",
    "report",
    "snapshot.rs",
    "snapshot/change.rs",
    "snapshot/controllers.rs",
    "snapshot/derived.rs",
    "snapshot/docker/assemble.rs",
    "snapshot/docker/convert.rs",
    "snapshot/docker/convert",
    "snapshot/docker/engine/archive.rs",
    "snapshot/docker/renew.rs",
    "snapshot/environment.rs",
    "snapshot/labelled.rs",
    "snapshot/objects.rs",
    "snapshot/objects",
    "snapshot/pool.rs",
    "snapshot/software.rs",
    "snapshot/store.rs",
    "snapshot/text.rs",
    "snapshot/touched.rs",
    "snapshot/kubernetes/convert.rs",
    "snapshot/kubernetes/convert",
];

/// What none of them may name, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("kube::Client", "a client"),
    ("kube::Api", "a client"),
    ("kube::runtime", "watches"),
    ("kube::client", "a client"),
    ("tokio::", "a runtime"),
    ("bollard::Docker", "a client"),
    ("hyper::", "a network"),
    ("std::net::Tcp", "a socket"),
    ("std::net::Udp", "a socket"),
    ("std::fs", "files"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
    ("std::io::std", "standard streams"),
    ("SystemTime", "a clock"),
    ("Instant::now", "a clock"),
    ("Timestamp::now", "a clock"),
    ("RandomState", "chance"),
    ("println!", "output"),
    ("tracing::", "a log"),
];

#[test]
fn pure_modules_read_nothing_from_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut read = 0;
    for module in PURE {
        for file in files(&root.join(module)) {
            read += 1;
            let text = std::fs::read_to_string(&file).expect("a source file can be read");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//")) {
                for (word, what) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
                    wrong.push(format!("{}:{}: {word} is {what}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(read > 50, "only {read} files were looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    entries.flat_map(|entry| files(&entry.expect("a folder entry").path())).collect()
}
