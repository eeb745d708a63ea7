//! Reads a host's packet filter: the only programs that are ever run, and only those that print it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::evidence::firewall::{Chain, Family, Firewall, NotUnderstood, parse};

/// Where such programs are.
const FOLDERS: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];
/// Limit of one program.
const LIMIT: Duration = Duration::from_secs(5);
/// The most that is taken of what it prints; ten thousand Services of a cluster are a third of that.
const LARGEST: u64 = 32 << 20;
/// The most that is taken of what it complains.
const LONGEST: u64 = 4096;

/// Why the packet filter is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("{0} is not installed here")]
    Missing(&'static str),
    /// It could not be run.
    #[error("{program} cannot be run: {source}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{0} did not end in time")]
    Late(PathBuf),
    /// It printed too much.
    #[error("{0} prints more than is read")]
    TooLarge(PathBuf),
    /// It failed, as without rights.
    #[error("{program} failed: {complaint}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// The first line of what it said.
        complaint: String,
    },
    /// It printed something else.
    #[error("{program}: {source}")]
    NotUnderstood {
        /// The program.
        program: PathBuf,
        /// Where.
        source: NotUnderstood,
    },
}

/// Reads the packet filter of this thread's network namespace. That of IPv6 may be missing.
///
/// # Errors
/// Where that of IPv4 cannot be read in full.
pub fn read() -> Result<Firewall, Error> {
    let mut firewall = Firewall { chains: chains(Family::V4)?, bridged: bridged(Path::new("/proc/sys/net")), ..Firewall::default() };
    match chains(Family::V6) {
        Ok(chains) => firewall.chains.extend(chains),
        Err(error) => drop(firewall.unread.insert(Family::V6, error.to_string())),
    }
    Ok(firewall)
}

/// Whether bridged packets come by, for this thread's network namespace. Without the kernel's module they do not.
fn bridged(settings: &Path) -> Option<bool> {
    if settings.is_dir() && !settings.join("bridge").exists() {
        return Some(false);
    }
    std::fs::read_to_string(settings.join("bridge/bridge-nf-call-iptables")).ok().map(|text| text.trim() != "0")
}

/// The programs of one family: one for each machinery, and the one that a system prefers.
fn programs(family: Family) -> [&'static str; 3] {
    match family {
        Family::V4 => ["iptables-nft-save", "iptables-legacy-save", "iptables-save"],
        Family::V6 => ["ip6tables-nft-save", "ip6tables-legacy-save", "ip6tables-save"],
    }
}

fn chains(family: Family) -> Result<Vec<Chain>, Error> {
    let names = programs(family);
    let mut found: Vec<PathBuf> = names.iter().filter_map(|name| find(name)).collect();
    // The preferred one is one of the two.
    found.truncate(2);
    if found.is_empty() {
        return Err(Error::Missing(names[2]));
    }
    let mut all: Vec<Chain> = Vec::new();
    for program in found {
        let text = run(&program, &["-c"], LIMIT)?;
        let chains = parse(&text, family).map_err(|source| Error::NotUnderstood { program, source })?;
        let is_known = |chain: &Chain| all.iter().any(|known| known.machinery == chain.machinery);
        if !chains.iter().any(is_known) {
            all.extend(chains);
        }
    }
    all.sort_by(|a, b| (a.machinery, &a.table, &a.name).cmp(&(b.machinery, &b.table, &b.name)));
    Ok(all)
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Runs a program to its end, and returns what it printed.
fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<String, Error> {
    let failed = |source| Error::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let printed = reading(child.stdout.take(), LARGEST + 1);
    let complained = reading(child.stderr.take(), LONGEST);
    let printed = printed.recv_timeout(limit);
    // What has closed its output has nothing left to do; what has not is ended.
    let is_whole = matches!(&printed, Ok(Ok(text)) if text.len() as u64 <= LARGEST);
    let status = if is_whole { child.wait() } else { end(&mut child) };
    let text = printed.map_err(|_| Error::Late(program.to_owned()))?.map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(Error::TooLarge(program.to_owned()));
    }
    if !status.map_err(failed)?.success() {
        let complaint = complained.recv_timeout(limit).ok().and_then(Result::ok).unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint).lines().next().unwrap_or("without a word").escape_debug().to_string();
        return Err(Error::Failed { program: program.to_owned(), complaint });
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn end(child: &mut Child) -> io::Result<std::process::ExitStatus> {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    child.wait()
}

/// Reads to the end, or to a limit, beyond which the other side finds its pipe closed.
fn reading(pipe: Option<impl Read + Send + 'static>, most: u64) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(most).read_to_end(&mut bytes));
        // Whoever has given up on it does not need it.
        let _ = sender.send(read.map(|_| bytes));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_program_is_run_within_its_limit() {
        assert_eq!(run(Path::new("/bin/echo"), &["-c"], LIMIT).expect("it ends"), "-c\n");
        let begun = Instant::now();
        let late = run(Path::new("/bin/sleep"), &["20"], Duration::from_millis(100));
        assert!(matches!(late, Err(Error::Late(_))) && begun.elapsed() < Duration::from_secs(5));
        assert!(matches!(run(Path::new("/nowhere/iptables-save"), &[], LIMIT), Err(Error::Run { .. })));
        let failed = run(Path::new("/bin/cat"), &["/nowhere"], LIMIT).expect_err("it fails").to_string();
        assert_eq!(failed, "/bin/cat failed: /bin/cat: /nowhere: No such file or directory");
    }
}
