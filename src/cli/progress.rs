//! Progress of long work, on standard error and only where it is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time before anything is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two pictures.
const TICK: Duration = Duration::from_millis(100);

/// A bar that shows itself after a second and goes when it is dropped.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    shown: tokio::task::AbortHandle,
}

impl Bar {
    /// For reading a cluster, which takes nobody knows how long.
    pub fn reading() -> Self {
        Bar::new(None, "{spinner} reading the cluster {elapsed}")
    }

    /// For asking so many targets.
    pub fn asking(length: usize) -> Self {
        Bar::new(Some(length as u64), "{pos} of {len} targets asked [{bar:30}] {elapsed}")
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let later = bar.clone();
        let shown = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            // indicatif itself draws nothing where standard error is no terminal.
            later.set_draw_target(ProgressDrawTarget::stderr());
            later.enable_steady_tick(TICK);
        });
        Bar { bar, shown: shown.abort_handle() }
    }

    /// One target more is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Takes the bar away.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.shown.abort();
        self.bar.finish_and_clear();
    }
}
