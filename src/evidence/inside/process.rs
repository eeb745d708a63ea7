//! Files of one process below `/proc/PID`.

use procfs_core::process::Stat;
use procfs_core::{FromRead, ProcResult};

use super::Processes;

/// What `/proc/PID/stat` says that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The process's name, escaped.
    pub name: String,
    /// When it started, in ticks since the node did: with its number, what tells it from a later one of the same number.
    pub started: u64,
    /// R, S, D, T …
    pub letter: char,
    /// The number of the process that started it; 0 where that is not seen from here.
    pub parent: u32,
}

/// Reads `/proc/PID/stat`.
pub fn state(stat: &str) -> ProcResult<State> {
    let stat = Stat::from_read(stat.as_bytes())?;
    Ok(State {
        name: stat.comm.escape_default().to_string(),
        started: stat.starttime,
        letter: stat.state,
        parent: stat.ppid.try_into().unwrap_or_default(),
    })
}

/// The number that a process has in its own container: the last one of `NSpid` in `/proc/PID/status`.
pub fn own_number(status: &str) -> Option<u32> {
    status.lines().find_map(|l| l.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

/// The soft limit of open descriptors in `/proc/PID/limits`; outside `None` where it cannot be read, inside where there is none.
pub fn descriptor_limit(limits: &str) -> Option<Option<u64>> {
    match limits.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_whitespace().next()? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    }
}

impl Processes {
    /// Counts one more.
    pub fn add(&mut self, state: &State) {
        self.count += 1;
        match state.letter {
            // t is held by a debugger, T by a signal.
            'T' | 't' => self.stopped += 1,
            'D' => self.uninterruptible += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a (b) c) T 1 4242 4242 0 -1 4194560 1019 0 0 0 3 2 0 0 20 0 1 0 918273 12345344 850 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_with_brackets_does_not_shift_what_follows() {
        assert_eq!(state(STAT).expect("a state"), State { name: "a (b) c".into(), started: 918_273, letter: 'T', parent: 1 });
        assert!(state("").is_err());
    }

    #[test]
    fn stopped_and_waiting_processes_are_counted() {
        let mut processes = Processes::default();
        for letter in ['S', 'T', 'D', 'R'] {
            processes.add(&State { name: String::new(), started: 0, letter, parent: 0 });
        }
        assert_eq!(processes, Processes { count: 4, stopped: 1, uninterruptible: 1 });
    }

    #[test]
    fn the_soft_limit_of_descriptors_is_read() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max processes             63455                63455                processes \n\
                 Max open files            {soft:<20} 1048576              files     \n"
            )
        };
        assert_eq!(descriptor_limit(&limits("1024")), Some(Some(1024)));
        assert_eq!(descriptor_limit(&limits("unlimited")), Some(None));
        assert_eq!(descriptor_limit("Max processes 1 1 processes\n"), None);
    }

    #[test]
    fn a_container_counts_its_processes_itself() {
        assert_eq!(own_number("Name:\tweb\nPid:\t4242\nNSpid:\t4242\t17\t1\nThreads:\t1\n"), Some(1));
        assert_eq!(own_number("Name:\tweb\nPid:\t4242\n"), None);
    }
}
