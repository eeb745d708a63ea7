//! Asks a helper over its standard streams.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use crate::probe::{Observation, Probe};
use crate::vantage::stdio;

/// Probes that may wait to be written.
const WAITING: usize = 256;
/// A helper that nobody has asked for so long is let go.
const IDLE: Duration = Duration::from_secs(30);

/// A probe, and who waits for its answer.
type Question = (Probe, oneshot::Sender<Observation>);

/// A helper that is asked over its streams. It is let go with this value.
#[derive(Debug)]
pub struct Pipe {
    questions: mpsc::Sender<Question>,
    used: Mutex<Instant>,
}

impl Pipe {
    /// Over these streams of a helper. What is given with them is kept until the helper has ended.
    pub fn over(
        input: impl AsyncWrite + Unpin + Send + 'static,
        output: impl AsyncBufRead + Unpin + Send + 'static,
        kept: impl Send + 'static,
    ) -> Self {
        let (questions, asked) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            converse(asked, input, output).await;
            drop(kept);
        });
        Pipe { questions, used: Mutex::new(Instant::now()) }
    }

    /// Whether it still takes probes.
    pub fn is_open(&self) -> bool {
        !self.questions.is_closed()
    }

    /// When it was last asked for something.
    pub fn last_used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a probe; nothing where the helper ends before it answers.
    pub async fn ask(&self, probe: &Probe) -> Option<Observation> {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let (answer, answered) = oneshot::channel();
        self.questions.send((probe.clone(), answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Writes probes and gives out their answers until nobody asks any more, or the helper ends. Its input is closed then, by which it ends.
async fn converse(
    mut asked: mpsc::Receiver<Question>,
    mut input: impl AsyncWrite + Unpin,
    output: impl AsyncBufRead + Unpin + Send + 'static,
) {
    let mut answers = answers(output);
    // An answer says what was asked; one to a question that several asked is as good for any of them.
    let mut waiting: HashMap<Probe, Vec<oneshot::Sender<Observation>>> = HashMap::new();
    loop {
        tokio::select! {
            question = asked.recv() => match question {
                Some((probe, answer)) => {
                    if write(&mut input, &probe).await.is_none() {
                        break;
                    }
                    waiting.entry(probe).or_default().push(answer);
                }
                None => break,
            },
            answer = answers.recv() => match answer {
                Some(observation) => give(&mut waiting, observation),
                None => break,
            },
            () = tokio::time::sleep(IDLE), if waiting.is_empty() => break,
        }
    }
    asked.close();
    // Where it has ended already there is nothing to close.
    let _ = input.shutdown().await;
    while let Some(observation) = answers.recv().await {
        give(&mut waiting, observation);
    }
}

/// The answers as they come, until the helper ends or says something that is none.
fn answers(mut output: impl AsyncBufRead + Unpin + Send + 'static) -> mpsc::Receiver<Observation> {
    let (given, answers) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Ok(Some(line)) = stdio::line(&mut output).await {
            let Ok(observation) = serde_json::from_slice(&line) else { break };
            if given.send(observation).await.is_err() {
                break;
            }
        }
    });
    answers
}

async fn write(input: &mut (impl AsyncWrite + Unpin), probe: &Probe) -> Option<()> {
    let mut line = serde_json::to_vec(probe).ok()?;
    line.push(b'\n');
    input.write_all(&line).await.ok()?;
    input.flush().await.ok()
}

fn give(waiting: &mut HashMap<Probe, Vec<oneshot::Sender<Observation>>>, observation: Observation) {
    let Some(senders) = waiting.get_mut(&observation.probe) else { return };
    let sender = senders.pop();
    if senders.is_empty() {
        waiting.remove(&observation.probe);
    }
    if let Some(sender) = sender {
        // Who has given up on it does not need it.
        let _ = sender.send(observation);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{BufReader, duplex, split};

    use super::*;
    use crate::probe::Outcome;
    use crate::vantage::local::Local;

    /// A helper in this process.
    fn helper() -> (Pipe, tokio::task::JoinHandle<()>) {
        let (here, there) = duplex(1 << 16);
        let (output, input) = split(here);
        let (theirs, ours) = split(there);
        let ended = tokio::spawn(async move {
            let local = Arc::new(Local::new("helper", Vec::new()));
            stdio::serve(local, BufReader::new(theirs), ours).await.expect("every line is a probe");
        });
        (Pipe::over(input, BufReader::new(output), ()), ended)
    }

    #[tokio::test]
    async fn each_asker_gets_its_answer() {
        let (pipe, ended) = helper();
        let probes: Vec<Probe> = (0..40).map(|n| Probe::connect(([127, 0, 0, 1], 1 + n % 8).into())).collect();
        let seen = futures::future::join_all(probes.iter().map(|p| pipe.ask(p))).await;
        for (probe, seen) in probes.iter().zip(seen) {
            let seen = seen.expect("an answer");
            assert_eq!(seen.probe, *probe);
            assert!(matches!(seen.outcome, Outcome::NotSent(_)), "loopback is not probed");
        }
        drop(pipe);
        ended.await.expect("it ends with its input");
    }

    #[tokio::test]
    async fn a_helper_that_ends_answers_nothing() {
        let (here, there) = duplex(64);
        let (output, input) = split(here);
        let pipe = Pipe::over(input, BufReader::new(output), ());
        drop(there);
        assert!(pipe.ask(&Probe::connect(([10, 0, 0, 7], 80).into())).await.is_none());
        assert!(!pipe.is_open());
    }
}
