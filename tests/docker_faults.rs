//! End to end, on a real Docker engine: every fault of tests/docker/faults made for real behind each of its gateways, named by
//! `culprit diagnose container/NAME`, and mended.
//!
//! `make docker-test` starts an engine of its own and runs these. They are ignored by a plain `cargo test`. With `BRIEF` every fault is made
//! behind one of its gateways, which is what `make test` has the time for.

#[path = "e2e/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use culprit::api::{Confidence, Diagnosis, DiagnosisStatus, Verdict};
use serde::Deserialize;
use table::Row;

/// How long a diagnosis may take to become what it should: containers start, gateways give up on what they wait for.
const PATIENCE: Duration = Duration::from_secs(40);
/// Faults made at once; more only slow each other down on a small machine.
const AT_ONCE: usize = 8;

/// One file of tests/docker/faults or tests/docker/healthy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    #[serde(skip)]
    name: String,
    /// The gateways that it is made behind; nginx where none is named.
    #[serde(default)]
    gateways: Vec<String>,
    #[serde(skip)]
    gateway: String,
    /// Whether the whole engine feels it, so that nothing else is made meanwhile.
    #[serde(default)]
    alone: bool,
    /// What makes it, with the words of tests/docker/lib.sh.
    make: String,
    /// What mends it.
    #[serde(default)]
    mend: String,
    #[serde(default)]
    expect: Expect,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    cause: String,
    #[serde(default)]
    confidence: Option<Confidence>,
    /// Failing where nothing is given.
    #[serde(default)]
    verdict: Vec<Verdict>,
}

fn read(folder: &str) -> Vec<Fault> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker").join(folder);
    let only = std::env::var("FAULT").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).expect("the folder of faults").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    let brief = std::env::var_os("BRIEF").is_some();
    let faults = files.iter().enumerate().flat_map(|(number, file)| {
        let text = std::fs::read_to_string(file).expect("a fault's file");
        let fault: Fault = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut gateways = if fault.gateways.is_empty() { vec!["nginx".to_owned()] } else { fault.gateways.clone() };
        if brief {
            // Another one from fault to fault, so that all gateways have their share.
            gateways = vec![gateways.swap_remove(number % gateways.len())];
        }
        gateways.into_iter().map(move |gateway| Fault { name: format!("{stem}@{gateway}"), gateway, ..fault.clone() }).collect::<Vec<_>>()
    });
    faults.filter(|f| f.name.contains(&only)).collect()
}

impl Fault {
    /// The beginning of the names of everything that it makes.
    fn prefix(&self) -> String {
        self.name.replace('@', "-")
    }

    fn shell(&self, script: &str) -> Result<(), String> {
        let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/lib.sh");
        let folder = std::env::temp_dir().join(format!("culprit-{}-{}", std::process::id(), self.prefix()));
        let output = Command::new("bash")
            .args(["-c", &format!(". '{}'\n{script}", lib.display())])
            .env("P", self.prefix())
            .env("DIR", folder)
            .env("GATEWAY", &self.gateway)
            .output()
            .expect("bash runs");
        if output.status.success() { Ok(()) } else { Err(format!("{script:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim())) }
    }

    /// What the command line says of the gateway.
    fn diagnosed(&self) -> Result<DiagnosisStatus, String> {
        let target = format!("container/{}-gateway", self.prefix());
        let Output { stdout, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_culprit"))
            .args(["diagnose", &target, "--docker-host", &std::env::var("DOCKER_HOST").expect("DOCKER_HOST"), "-o", "json"])
            .output()
            .expect("culprit runs");
        let document: Diagnosis =
            serde_json::from_slice(&stdout).map_err(|e| format!("no document ({e}): {}", String::from_utf8_lossy(&stderr).trim()))?;
        document.status.ok_or_else(|| "no status".into())
    }

    /// Diagnoses until it is as it should be; else says what it was last.
    fn until(&self, is_right: impl Fn(&DiagnosisStatus) -> bool) -> Result<(DiagnosisStatus, Vec<DiagnosisStatus>), String> {
        let begun = Instant::now();
        let mut before = Vec::new();
        loop {
            let last = self.diagnosed();
            match last {
                Ok(status) if is_right(&status) => return Ok((status, before)),
                Ok(status) if begun.elapsed() > PATIENCE => return Err(show(&status)),
                Err(why) if begun.elapsed() > PATIENCE => return Err(why),
                Ok(status) => before.push(status),
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    #[expect(clippy::print_stdout, reason = "whoever waits wants to see how far it is")]
    fn run(&self) -> Row {
        let mut row = Row { name: self.name.clone(), ..Row::default() };
        let _ = self.shell("clean");
        if let Err(why) = self.make_and_mend(&mut row) {
            row.wrong.push(why);
        }
        let _ = self.shell("clean");
        println!("{}: {}", row.name, if row.wrong.is_empty() { "right".to_owned() } else { row.wrong.join("; ") });
        row
    }

    fn make_and_mend(&self, row: &mut Row) -> Result<(), String> {
        self.shell(&self.make)?;
        let begun = Instant::now();
        let verdicts = if self.expect.verdict.is_empty() { vec![Verdict::Failing] } else { self.expect.verdict.clone() };
        let is_named = |s: &DiagnosisStatus| s.cause.as_deref() == Some(&self.expect.cause) && verdicts.contains(&s.verdict);
        let named = self.until(is_named);
        // A wrong cause that is called proven is never excused by what is said later.
        let wrong =
            |s: &DiagnosisStatus| s.findings.first().is_some_and(|f| f.confidence == Confidence::Proven && f.cause != self.expect.cause);
        match named {
            Ok((status, before)) => {
                row.named = self.expect.cause.clone();
                row.confidence = status.findings.first().map(|f| f.confidence);
                row.right = true;
                row.to_status = Some(begun.elapsed());
                if let Some(wanted) = self.expect.confidence.filter(|c| Some(*c) != row.confidence) {
                    row.wrong.push(format!("{wanted} was expected: {}", show(&status)));
                }
                if let Some(early) = before.iter().find(|s| wrong(s)) {
                    row.proven_wrong = true;
                    row.wrong.push(format!("first it said {}", show(early)));
                }
            }
            Err(last) => {
                row.named = last.clone();
                row.wrong.push(format!("{} was not named: {last}", self.expect.cause));
            }
        }
        self.shell(&self.mend)?;
        let begun = Instant::now();
        self.until(|s| s.verdict == Verdict::Healthy).map_err(|last| format!("mended, and not Healthy: {last}"))?;
        row.to_healthy = Some(begun.elapsed());
        Ok(())
    }

    /// What is wrong with a healthy one.
    fn stays_healthy(&self) -> Option<String> {
        let _ = self.shell("clean");
        // What was only just started does not listen yet, and that is no look-alike but a fault.
        let made = self.shell(&format!("{}\nsleep 1", self.make.trim_end()));
        let wrong = made.err().or_else(|| match self.until(|s| s.verdict == Verdict::Healthy) {
            Err(last) => Some(last),
            Ok((status, _)) if !status.findings.is_empty() => Some(show(&status)),
            Ok((_, before)) => before.iter().find(|s| s.cause.is_some()).map(|s| format!("first it said {}", show(s))),
        });
        let _ = self.shell("clean");
        wrong.map(|why| format!("{}: {why}", self.name))
    }
}

fn show(status: &DiagnosisStatus) -> String {
    let message = status.message.clone().unwrap_or_default();
    let confidence = status.findings.first().map(|f| f.confidence.to_string()).unwrap_or_default();
    format!("{} {} {confidence}: {message}", status.verdict, status.cause.as_deref().unwrap_or("-"))
}

/// Runs what can be run side by side, then the others one by one.
fn all<T: Send>(faults: &[Fault], run: impl Fn(&Fault) -> T + Sync) -> Vec<T> {
    let (alone, beside): (Vec<&Fault>, Vec<&Fault>) = faults.iter().partition(|f| f.alone);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fault) = beside.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let result = run(fault);
                    done.lock().expect("no panic").push(result);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.extend(alone.into_iter().map(run));
    done
}

#[test]
#[ignore = "needs a Docker engine: make docker-test"]
fn every_fault_of_containers_is_named_with_its_cause_and_its_mending_is_seen() {
    let faults = read("faults");
    let mut rows = all(&faults, Fault::run);
    for row in rows.iter_mut().filter(|row| row.deserves_another()) {
        let at_first = std::mem::take(&mut row.wrong);
        let fault = faults.iter().find(|f| f.name == row.name).expect("its fault");
        *row = Row { at_first, ..fault.run() };
    }
    let failed = table::print(rows);
    assert!(failed.is_empty(), "{} faults went wrong:\n{}", failed.len(), failed.join("\n"));
}

/// A process that ends with its owner.
struct Service(std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The document of a gateway as the service has it, until it is as it should be.
fn served(port: u16, name: &str, is_right: impl Fn(&DiagnosisStatus) -> bool) -> Result<Duration, String> {
    use std::io::{Read, Write};
    let begun = Instant::now();
    loop {
        let mut text = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET /diagnoses HTTP/1.0\r\n\r\n").expect("a request");
            let _ = stream.read_to_string(&mut text);
        }
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let list: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let document = items.into_iter().find(|d| d["spec"]["target"]["name"] == name);
        let status: Option<DiagnosisStatus> = document.and_then(|d| serde_json::from_value(d["status"].clone()).ok());
        match status {
            Some(status) if is_right(&status) => return Ok(begun.elapsed()),
            status if begun.elapsed() > PATIENCE => return Err(status.as_ref().map_or_else(|| "no document".into(), show)),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[test]
#[ignore = "needs a Docker engine: make docker-test"]
fn the_service_follows_the_engines_events() {
    let shop = Fault {
        name: "followed@nginx".into(),
        gateways: Vec::new(),
        gateway: "nginx".into(),
        alone: false,
        make: String::new(),
        mend: String::new(),
        expect: Expect::default(),
    };
    let _ = shop.shell("clean");
    shop.shell("network $P; app; gateway app:3000").expect("a shop");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let service = Command::new(env!("CARGO_BIN_EXE_culprit"))
        .args(["docker", "--listen", &format!("127.0.0.1:{free}"), "--docker-host", &std::env::var("DOCKER_HOST").expect("DOCKER_HOST")])
        .spawn()
        .expect("culprit runs");
    let _service = Service(service);
    let name = format!("{}-gateway", shop.prefix());
    let is = |verdict: Verdict, cause: Option<&'static str>| move |s: &DiagnosisStatus| s.verdict == verdict && s.cause.as_deref() == cause;
    served(free, &name, is(Verdict::Healthy, None)).expect("healthy at first");
    shop.shell("docker pause $P-app").expect("a pause");
    let paused = served(free, &name, is(Verdict::Failing, Some("docker-container-paused"))).expect("the pause is seen");
    shop.shell("docker unpause $P-app").expect("its end");
    let mended = served(free, &name, is(Verdict::Healthy, None)).expect("the end of the pause is seen");
    let _ = shop.shell("clean");
    // Nobody waits for the next interval, which is 30 seconds.
    assert!(paused < Duration::from_secs(15) && mended < Duration::from_secs(5), "{paused:?}, {mended:?}");
}

#[test]
#[ignore = "needs a Docker engine: make docker-test"]
fn healthy_gateways_of_containers_stay_healthy() {
    let wrong: Vec<String> = all(&read("healthy"), Fault::stays_healthy).into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} healthy gateways were taken for faults:\n{}", wrong.len(), wrong.join("\n"));
}
