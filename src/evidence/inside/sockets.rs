//! `/proc/PID/net/tcp` and `tcp6`, and `/proc/PID/net/netstat`: where the kernel cannot be asked by netlink, and what it counts.

use procfs_core::net::{TcpNetEntries, TcpState};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI, ProcResult};

use super::{Listener, TurnedAway};

/// A listening socket and the inode by which its owner is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What is known of it.
    pub listener: Listener,
    /// Its inode, as the links of `/proc/PID/fd` name it.
    pub inode: u64,
}

/// The listening sockets of `/proc/PID/net/tcp` or `tcp6`. Their backlog's limit is not in there.
pub fn listening(table: &str) -> ProcResult<Vec<Socket>> {
    // Addresses are numbers of the machine's own byte order; nothing else of the system matters here.
    let system =
        ExplicitSystemInfo { boot_time_secs: 0, ticks_per_second: 100, page_size: 4096, is_little_endian: cfg!(target_endian = "little") };
    let entries = TcpNetEntries::from_buf_read(table.as_bytes(), &system)?;
    let sockets = entries.0.into_iter().filter(|e| e.state == TcpState::Listen).map(|entry| {
        let listener = Listener {
            address: entry.local_address.ip().to_canonical(),
            port: entry.local_address.port(),
            v6_only: None,
            queue: entry.rx_queue,
            backlog: None,
            process: None,
        };
        Socket { listener, inode: entry.inode }
    });
    Ok(sockets.collect())
}

/// The counters of turned away connections: `netstat` has pairs of lines, names and their values.
pub fn turned_away(netstat: &str) -> Option<TurnedAway> {
    let mut lines = netstat.lines().filter(|l| l.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| names.split_whitespace().zip(values.split_whitespace()).find(|(n, _)| *n == name)?.1.parse().ok();
    Some(TurnedAway { overflows: value("ListenOverflows")?, drops: value("ListenDrops")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 29351 1 0000000000000000 100 0 0 10 0                     
   1: 00000000:0050 00000000:0000 0A 00000000:00000081 00:00000000 00000000   101        0 30214 1 0000000000000000 100 0 0 10 0                     
   2: 0702F40A:0050 0201F40A:9D3E 01 00000000:00000000 00:00000000 00000000   101        0 31007 1 0000000000000000 20 4 30 10 -1                    
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:2382 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 40001 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 40002 1 0000000000000000 100 0 0 10 0
   2: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 40003 1 0000000000000000 100 0 0 10 0
";
    const NETSTAT: &str = "\
TcpExt: SyncookiesSent SyncookiesRecv SyncookiesFailed ListenOverflows ListenDrops TCPHPHits
TcpExt: 0 0 0 17 19 205
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
";

    fn addresses(table: &str) -> Vec<String> {
        listening(table).expect("a table").iter().map(|s| s.listener.to_string()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_of_both_families_are_read() {
        assert_eq!(addresses(TCP), ["127.0.0.1:8080", "0.0.0.0:80"]);
        assert_eq!(addresses(TCP6), ["[::]:9090", "127.0.0.1:8080", "[::1]:3000"]);
        let full = &listening(TCP).expect("a table")[1];
        assert_eq!((full.listener.queue, full.listener.backlog, full.inode), (129, None, 30214));
    }

    #[test]
    fn a_table_that_is_none_is_an_error_and_not_an_empty_one() {
        assert!(listening("  sl  local_address\n   0: rubbish").is_err());
    }

    #[test]
    fn turned_away_connections_are_counted_where_the_kernel_does() {
        assert_eq!(turned_away(NETSTAT), Some(TurnedAway { overflows: 17, drops: 19 }));
        assert_eq!(turned_away("TcpExt: TCPHPHits\nTcpExt: 5\n"), None);
        assert_eq!(turned_away(""), None);
    }
}
