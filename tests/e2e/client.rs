//! A client of a route: asks it through its gateway again and again, and knows since when it fails.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use culprit::probe::{Method, Outcome, Request, Scheme, http};
use tokio::task::JoinHandle;

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(150);
/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks until it is dropped.
pub struct Client {
    failing_since: Arc<Mutex<Option<Instant>>>,
    asking: JoinHandle<()>,
}

impl Client {
    /// Begins to ask a gateway for a host.
    pub fn begin(gateway: SocketAddr, host: String) -> Self {
        let failing_since = Arc::new(Mutex::new(None));
        let since = failing_since.clone();
        let request = Request {
            to: gateway,
            scheme: Scheme::Http,
            server_name: None,
            method: Method::Get,
            host,
            path: "/".into(),
            headers: Vec::new(),
        };
        let asking = tokio::spawn(async move {
            loop {
                let asked = Instant::now();
                let works = matches!(http::request(&request, PATIENCE).await, Outcome::Response(r) if r.status < 400 && !r.body_cut);
                note(&since, works, asked);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Client { failing_since, asking }
    }

    /// Since when every request fails; nothing where the last one worked.
    pub fn failing_since(&self) -> Option<Instant> {
        *self.failing_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(failing_since: &Mutex<Option<Instant>>, works: bool, asked: Instant) {
    let mut since = failing_since.lock().unwrap_or_else(PoisonError::into_inner);
    *since = if works { None } else { since.or(Some(asked)) };
}

impl Drop for Client {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
