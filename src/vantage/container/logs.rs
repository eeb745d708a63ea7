//! Containers' logs, read through their engine.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::Logs;
use crate::probe::{LogLine, PodRef};
use crate::snapshot::docker::engine::{Connection, log};

/// Lines that are read.
const LINES: usize = 200;

impl Logs for Connection {
    fn read<'a>(&'a self, container: &'a PodRef) -> BoxFuture<'a, Result<Vec<LogLine>, String>> {
        log(self, &container.uid, None, LINES).map(|read| read.map_err(|error| error.to_string())).boxed()
    }
}
