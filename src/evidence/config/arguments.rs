//! The arguments that a gateway is started with, also from within a shell's line.

use crate::snapshot::objects::docker::Container;

/// Shells that take a line to run behind `-c`.
const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "zsh"];
/// Most words of a command that are looked at.
const MOST: usize = 2_000;

/// What follows a program's name on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments(Vec<String>);

impl Arguments {
    /// The arguments of the first of these programs that the container's command runs. Where none of them is named, all words: an image's
    /// entrypoint may put the name in front of them.
    pub fn of(container: &Container, programs: &[&str]) -> Self {
        let commands = commands(&container.command);
        let found = commands.iter().rev().find_map(|words| {
            let at = (0..words.len()).find(|at| is_program(words, *at, programs))?;
            Some(words[at + 1..].to_vec())
        });
        Arguments(found.unwrap_or_else(|| commands.concat()))
    }

    /// Whether a container's command runs one of these programs.
    pub fn name(container: &Container, programs: &[&str]) -> bool {
        let runs = |words: &Vec<String>| (0..words.len()).any(|at| is_program(words, at, programs));
        commands(&container.command).iter().any(runs)
    }

    /// All of them.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The value of an option under one of its names: `-c FILE`, `-cFILE`, `--config FILE`, `--config=FILE`; of the last one where there
    /// are several.
    pub fn value(&self, names: &[&str]) -> Option<&str> {
        (0..self.0.len()).rev().find_map(|at| names.iter().find_map(|name| self.value_at(at, name)))
    }

    /// All values of an option, in their order.
    pub fn values<'a>(&'a self, names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        (0..self.0.len()).filter_map(move |at| names.iter().find_map(|name| self.value_at(at, name)))
    }

    fn value_at(&self, at: usize, name: &str) -> Option<&str> {
        let rest = self.0[at].strip_prefix(name)?;
        match rest.strip_prefix('=') {
            _ if rest.is_empty() => self.0.get(at + 1).map(String::as_str),
            Some(value) => Some(value),
            None => (!name.starts_with("--") && name.len() == 2).then_some(rest),
        }
    }
}

/// Whether a word names a program, and is not an option's value.
fn is_program(words: &[String], at: usize, programs: &[&str]) -> bool {
    programs.contains(&base_name(&words[at])) && (at == 0 || !words[at - 1].starts_with('-'))
}

/// The commands of a command line: itself, or those of the line that a shell is given.
fn commands(command: &[String]) -> Vec<Vec<String>> {
    let is_line = |at: usize| {
        let (before, flag) = (&command[..at - 1], &command[at - 1]);
        flag.starts_with('-') && !flag.starts_with("--") && flag.ends_with('c') && before.last().is_some_and(|w| is_shell(w))
    };
    match (2..command.len()).find(|at| is_line(*at)) {
        Some(at) => split(&command[at]),
        None => vec![command.iter().take(MOST).cloned().collect()],
    }
}

fn is_shell(word: &str) -> bool {
    SHELLS.contains(&base_name(word))
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The words of a shell's line, each command apart. Quotes are taken away; nothing is put in place of variables.
fn split(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let end_word = |word: &mut String, commands: &mut Vec<Vec<String>>| {
        if !word.is_empty()
            && let Some(words) = commands.last_mut()
        {
            words.push(std::mem::take(word));
        }
    };
    for c in line.chars().take(64 << 10) {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ';' | '&' | '|' | '\n') => {
                end_word(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => end_word(&mut word, &mut commands),
            (_, c) => word.push(c),
        }
    }
    end_word(&mut word, &mut commands);
    commands.retain(|c| !c.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(command: &[&str], program: &str, option: &str) -> Option<String> {
        let container = Container { command: command.iter().map(|c| (*c).to_owned()).collect(), ..Container::default() };
        Arguments::of(&container, &[program]).value(&[option]).map(str::to_owned)
    }

    #[test]
    fn options_are_found_in_all_their_forms() {
        for (command, program, option, expected) in [
            (&["nginx", "-c", "/x.conf"][..], "nginx", "-c", Some("/x.conf")),
            (&["/docker-entrypoint.sh", "nginx", "-c/x.conf"], "nginx", "-c", Some("/x.conf")),
            (&["caddy", "run", "--config=/x"], "caddy", "--config", Some("/x")),
            (&["caddy", "run", "--configs=/x"], "caddy", "--config", None),
            (&["sh", "-c", "sleep 1 && exec nginx -g 'daemon off;' -c \"/x y.conf\"; date -c 3"], "nginx", "-c", Some("/x y.conf")),
            (&["/bin/bash", "-ec", "nginx -c /x"], "nginx", "-c", Some("/x")),
            (&["docker-entrypoint.sh", "-f", "/etc/haproxy"], "haproxy", "-f", Some("/etc/haproxy")),
            (&["haproxy", "-f", "/etc/haproxy"], "haproxy", "-f", Some("/etc/haproxy")),
            (&["nginx", "-c"], "nginx", "-c", None),
            (&[], "nginx", "-c", None),
        ] {
            assert_eq!(value(command, program, option).as_deref(), expected, "{command:?}");
        }
    }
}
