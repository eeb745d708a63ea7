//! Files of control groups, of both versions.

use std::time::Duration;

use procfs_core::parse_pressure_record;

use super::{Cpu, Usage};

/// A figure and its limit: `pids.current` and `pids.max`, `memory.current` and `memory.max`, and what version 1 calls them.
pub fn usage(current: &str, limit: &str) -> Option<Usage> {
    let limit = match limit.trim() {
        "max" => None,
        // Version 1 has the largest number of whole pages for no limit.
        number => Some(number.parse::<u64>().ok()?).filter(|limit| *limit < u64::MAX / 4),
    };
    Some(Usage { used: current.trim().parse().ok()?, limit })
}

/// `cpu.stat`. Nothing where the group has no share of its own, since nothing is counted then.
pub fn cpu(stat: &str) -> Option<Cpu> {
    let waited = || value(stat, "throttled_usec").map(Duration::from_micros);
    let throttled_for = waited().or_else(|| value(stat, "throttled_time").map(Duration::from_nanos))?;
    let cpu = Cpu { periods: value(stat, "nr_periods")?, throttled: value(stat, "nr_throttled")?, throttled_for };
    (cpu.periods > 0).then_some(cpu)
}

/// Processes that were killed for want of memory: `memory.events`, and `memory.oom_control` of version 1.
pub fn oom_kills(events: &str) -> Option<u64> {
    value(events, "oom_kill")
}

/// The first line of a `*.pressure` file, in hundredths of a percent over ten seconds.
pub fn pressure(file: &str) -> Option<u32> {
    let record = parse_pressure_record(file.lines().next()?).ok()?;
    // A share of at most 100 %; the cast saturates.
    Some((record.avg10 * 100.0).round() as u32)
}

/// The value of a line `key value`.
fn value(file: &str, key: &str) -> Option<u64> {
    file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(usage("41\n", "100\n"), Some(Usage { used: 41, limit: Some(100) }));
        assert_eq!(usage("41\n", "max\n"), Some(Usage { used: 41, limit: None }));
        assert_eq!(usage("8192\n", "9223372036854771712\n"), Some(Usage { used: 8192, limit: None }));
        assert_eq!(usage("", "100"), None);
        assert_eq!(usage("41", ""), None);
    }

    #[test]
    fn throttling_of_both_versions_is_read() {
        let v2 = "usage_usec 61300100\nuser_usec 40000000\nsystem_usec 21300100\nnr_periods 900\nnr_throttled 850\nthrottled_usec 70123456\nnr_bursts 0\nburst_usec 0\n";
        let v1 = "nr_periods 900\nnr_throttled 850\nthrottled_time 70123456000\n";
        let expected = Cpu { periods: 900, throttled: 850, throttled_for: Duration::from_micros(70_123_456) };
        assert_eq!((cpu(v2), cpu(v1)), (Some(expected), Some(expected)));
    }

    #[test]
    fn a_group_without_a_share_of_its_own_is_not_one_that_never_waited() {
        assert_eq!(cpu("usage_usec 61300100\nuser_usec 4\nsystem_usec 2\n"), None);
        assert_eq!(cpu("nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"), None);
    }

    #[test]
    fn kills_and_pressure_are_read() {
        assert_eq!(oom_kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), Some(4));
        assert_eq!(oom_kills("oom_kill_disable 0\nunder_oom 0\n"), None);
        let psi = "some avg10=12.34 avg60=1.00 avg300=0.00 total=391926\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!((pressure(psi), pressure("")), (Some(1234), None));
    }
}
