//! What was read anew of an engine, put into what was read before. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assemble::Inventory;
use crate::evidence::config::Files;
use crate::fact::Fact;
use crate::snapshot::objects::docker::{Container, Network};

/// What was read anew of an engine after events.
#[derive(Clone, Debug, Default)]
pub struct Fresh {
    /// The containers that were inspected, by their ids; none where one is gone.
    pub containers: BTreeMap<String, Option<Arc<Container>>>,
    /// All networks, where one of them came, went or changed.
    pub networks: Option<Vec<Network>>,
    /// Text files of those containers that may be gateways, by the container's name. One whose files were not read has those that it had.
    pub files: BTreeMap<String, Fact<Files>>,
}

impl Inventory {
    /// Whether a container's files were read in this run of it, or since it ended.
    pub fn has_files_of(&self, container: &Container) -> bool {
        let is_as_known = |known: &Container| {
            let same = known.id == container.id && known.name == container.name && known.command == container.command;
            same && known.state.started == container.state.started && known.state.status == container.state.status
        };
        self.files.contains_key(container.name.as_str()) && self.containers.iter().any(|known| is_as_known(known))
    }

    /// Puts in what was read anew: afterwards it is as though everything had been read again.
    pub fn renew(&mut self, fresh: Fresh) {
        let Fresh { containers, networks, files } = fresh;
        let (touched, kept) = std::mem::take(&mut self.containers).into_iter().partition(|c| containers.contains_key(c.id.as_str()));
        self.containers = kept;
        // A name may be another container's now: all are taken before any is given.
        let touched: Vec<Arc<Container>> = touched;
        let mut had: BTreeMap<&str, Fact<Files>> =
            touched.iter().filter_map(|c| Some((c.id.as_str(), self.files.remove(c.name.as_str())?))).collect();
        for container in containers.into_values().flatten() {
            if let Some(files) = had.remove(container.id.as_str()) {
                self.files.insert(container.name.to_string(), files);
            }
            self.containers.push(container);
        }
        self.files.extend(files);
        if let Some(networks) = networks {
            self.networks = networks.into_iter().map(Arc::new).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble;
    use super::*;
    use crate::snapshot::objects::docker::{Attachment, State, Status};

    fn container(id: &str, name: &str, network: &str) -> Container {
        let attachment = Attachment { network: network.into(), names: vec![name.into()], ..Attachment::default() };
        Container { id: id.into(), name: name.into(), image: "nginx".into(), attachments: vec![attachment], ..Container::default() }
    }

    fn network(name: &str) -> Network {
        Network { name: name.into(), id: format!("id-of-{name}"), ..Network::default() }
    }

    fn files(upstream: &str) -> Fact<Files> {
        let text = format!("events {{}}\nhttp {{ server {{ listen 80; location / {{ proxy_pass http://{upstream}; }} }} }}\n");
        Fact::Known(Files::from([("/etc/nginx/nginx.conf".to_owned(), text)]))
    }

    /// An engine whose every container is a gateway with these upstreams.
    fn engine(containers: &[(Container, &str)], networks: &[&str]) -> Inventory {
        Inventory {
            name: "dock".into(),
            containers: containers.iter().map(|(c, _)| Arc::new(c.clone())).collect(),
            networks: networks.iter().map(|name| Arc::new(network(name))).collect(),
            files: containers.iter().map(|(c, upstream)| (c.name.to_string(), files(upstream))).collect(),
            ..Inventory::default()
        }
    }

    /// What would be read anew of an engine for these containers.
    fn fresh(of: &Inventory, ids: &[&str]) -> Fresh {
        let found = |id: &str| of.containers.iter().find(|c| c.id == *id).cloned();
        let containers: BTreeMap<String, Option<Arc<Container>>> = ids.iter().map(|id| ((*id).to_owned(), found(id))).collect();
        let files = containers.values().flatten().filter(|c| c.runs());
        let files = files.filter_map(|c| Some((c.name.to_string(), of.files.get(c.name.as_str())?.clone()))).collect();
        Fresh { containers, networks: Some(of.networks.iter().map(|n| Network::clone(n)).collect()), files }
    }

    fn assert_follows(before: &Inventory, after: &Inventory, touched: &[&str]) {
        let mut renewed = before.clone();
        renewed.renew(fresh(after, touched));
        assert_eq!(assemble(&renewed), assemble(after));
        assert_eq!(renewed.files, after.files);
        // What is said twice changes nothing.
        renewed.renew(fresh(after, touched));
        assert_eq!(assemble(&renewed), assemble(after));
    }

    #[test]
    fn what_came_went_and_changed_is_as_though_everything_was_read_again() {
        let (a, b, c) = (container("1a", "a", "one"), container("2b", "b", "one"), container("3c", "c", "two"));
        let before = engine(&[(a.clone(), "x:1"), (b.clone(), "y:2")], &["one"]);
        let moved = Container { attachments: container("2b", "b", "two").attachments, ..b };
        assert_follows(&before, &engine(&[(moved, "z:3"), (c, "x:1")], &["two", "one"]), &["1a", "2b", "3c"]);
        assert_follows(&before, &engine(&[], &[]), &["1a", "2b"]);
        assert_follows(&Inventory { name: "dock".into(), ..Inventory::default() }, &before, &["2b", "1a", "gone"]);
    }

    #[test]
    fn a_name_that_goes_over_to_another_container_takes_no_files_along() {
        let before = engine(&[(container("1a", "web", "one"), "old:1"), (container("2b", "next", "one"), "new:2")], &["one"]);
        let after = engine(&[(container("1a", "next", "one"), "old:1"), (container("2b", "web", "one"), "new:2")], &["one"]);
        assert_follows(&before, &after, &["1a", "2b"]);
    }

    #[test]
    fn a_gateway_that_does_not_run_has_the_files_that_it_had() {
        let ended = State { status: Status::Exited, ..State::default() };
        let web = container("1a", "web", "one");
        let before = engine(&[(web.clone(), "app:1")], &["one"]);
        let after = engine(&[(Container { state: ended, name: "old-web".into(), ..web }, "app:1")], &["one"]);
        assert_follows(&before, &after, &["1a"]);
    }

    #[test]
    fn networks_stay_where_none_was_touched() {
        let before = engine(&[(container("1a", "web", "one"), "app:1")], &["one", "two"]);
        let mut renewed = before.clone();
        renewed.renew(Fresh { networks: None, ..fresh(&before, &["1a"]) });
        assert_eq!(assemble(&renewed), assemble(&before));
    }
}
