//! Values in a configuration, each with its place: what YAML, JSON, TOML, labels, arguments and environment have in common. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Place;

/// How deep values may lie in each other; what lies deeper is not kept.
const DEEPEST: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it stands.
    pub place: Place,
    /// What it holds.
    pub node: Node,
}

/// What a value holds. Numbers and truth are kept as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing.
    #[default]
    Empty,
    /// A scalar.
    Text(String),
    /// Values in order.
    List(Vec<Tree>),
    /// Named values in order.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads YAML, of which JSON is a part.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn yaml(file: &str, text: &str) -> Result<Tree, (Place, String)> {
        let located = |line: usize| Place { file: file.to_owned(), line };
        let mut tree: Tree = serde_yaml::from_str(text).map_err(|e| {
            let line = e.location().map_or(0, |l| usize::try_from(l.line()).unwrap_or_default());
            (located(line), "it is not valid YAML or JSON".to_owned())
        })?;
        tree.name_file(file);
        Ok(tree)
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn toml(file: &str, text: &str) -> Result<Tree, (Place, String)> {
        let place = |offset: usize| {
            let before = text.as_bytes().get(..offset).unwrap_or_default();
            Place { file: file.to_owned(), line: 1 + before.iter().filter(|b| **b == b'\n').count() }
        };
        let table =
            toml::de::DeTable::parse(text).map_err(|e| (place(e.span().map_or(0, |s| s.start)), "it is not valid TOML".to_owned()))?;
        Ok(of_table(table.get_ref(), place(0), &place, 0))
    }

    /// Reads a file by the end of its name.
    ///
    /// # Errors
    /// The place and what is wrong there.
    pub fn file(path: &str, text: &str) -> Result<Tree, (Place, String)> {
        if path.ends_with(".toml") { Tree::toml(path, text) } else { Tree::yaml(path, text) }
    }

    /// The value below a path of names with dots between. Case and underscores do not matter: both `socket_address` and `socketAddress` are
    /// right to Envoy, and Traefik's labels have no case.
    pub fn get(&self, path: &str) -> Option<&Tree> {
        path.split('.').try_fold(self, |tree, name| tree.entries().iter().find(|(n, _)| same_name(n, name)).map(|(_, t)| t))
    }

    /// The text below a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_text()
    }

    /// The text that it is.
    pub fn as_text(&self) -> Option<&str> {
        match &self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the value below a path is said to be true or false; nothing where it is neither.
    pub fn truth(&self, path: &str) -> Option<bool> {
        let text = self.text(path)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Some(true),
            "false" | "0" | "f" => Some(false),
            _ => None,
        }
    }

    /// Whether something stands below a path that is not said to be false: an option that is chosen by its presence.
    pub fn has(&self, path: &str) -> bool {
        self.get(path).is_some() && self.truth(path) != Some(false)
    }

    /// Its named values.
    pub fn entries(&self) -> &[(String, Tree)] {
        match &self.node {
            Node::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Its values in order, whether they are a list or named by their numbers.
    pub fn items(&self) -> Vec<&Tree> {
        match &self.node {
            Node::List(items) => items.iter().collect(),
            Node::Map(entries) => entries.iter().map(|(_, t)| t).collect(),
            Node::Empty | Node::Text(_) => Vec::new(),
        }
    }

    /// The values in order below a path; none where there is nothing.
    pub fn items_of(&self, path: &str) -> Vec<&Tree> {
        self.get(path).map(Tree::items).unwrap_or_default()
    }

    /// The texts below a path: a list, or one text with commas between.
    pub fn texts(&self, path: &str) -> Vec<&str> {
        let Some(tree) = self.get(path) else { return Vec::new() };
        match tree.as_text() {
            Some(text) => text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect(),
            None => tree.items().into_iter().filter_map(Tree::as_text).collect(),
        }
    }

    /// Puts a text below a path, in place of what stood there; a name like `servers[0]` is the numbered value of a list.
    pub fn insert(&mut self, path: &str, text: &str, place: &Place) {
        let names = path.split('.').flat_map(|part| match part.split_once('[') {
            Some((name, index)) => vec![name, index.trim_end_matches(']')],
            None => vec![part],
        });
        let names: Vec<&str> = names.take(DEEPEST).collect();
        self.insert_below(&names, text, place);
    }

    fn insert_below(&mut self, names: &[&str], text: &str, place: &Place) {
        let Some((name, rest)) = names.split_first() else {
            *self = Tree { place: place.clone(), node: Node::Text(text.to_owned()) };
            return;
        };
        let mut entries = match std::mem::take(&mut self.node) {
            Node::Map(entries) => entries,
            Node::Empty | Node::Text(_) | Node::List(_) => Vec::new(),
        };
        let at = entries.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
            entries.push(((*name).to_owned(), Tree { place: place.clone(), node: Node::Empty }));
            entries.len() - 1
        });
        entries[at].1.insert_below(rest, text, place);
        self.node = Node::Map(entries);
    }

    fn name_file(&mut self, file: &str) {
        file.clone_into(&mut self.place.file);
        match &mut self.node {
            Node::Empty | Node::Text(_) => {}
            Node::List(items) => items.iter_mut().for_each(|t| t.name_file(file)),
            Node::Map(entries) => entries.iter_mut().for_each(|(_, t)| t.name_file(file)),
        }
    }
}

fn same_name(a: &str, b: &str) -> bool {
    let letters = |s: &str| s.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).collect::<Vec<u8>>();
    a.eq_ignore_ascii_case(b) || letters(a) == letters(b)
}

fn of_table(table: &toml::de::DeTable<'_>, at: Place, place: &impl Fn(usize) -> Place, depth: usize) -> Tree {
    let entries = table.iter().map(|(key, value)| {
        let mut tree = of_toml(value.get_ref(), place(key.span().start), place, depth + 1);
        tree.place = place(key.span().start);
        (key.get_ref().to_string(), tree)
    });
    Tree { place: at, node: Node::Map(entries.collect()) }
}

fn of_toml(value: &toml::de::DeValue<'_>, at: Place, place: &impl Fn(usize) -> Place, depth: usize) -> Tree {
    use toml::de::DeValue;
    let text = |text: String| Node::Text(text);
    let node = match value {
        _ if depth > DEEPEST => Node::Empty,
        DeValue::String(s) => text(s.to_string()),
        DeValue::Integer(i) => text(i.to_string()),
        DeValue::Float(f) => text(f.to_string()),
        DeValue::Boolean(b) => text(b.to_string()),
        DeValue::Datetime(d) => text(d.to_string()),
        DeValue::Array(items) => Node::List(items.iter().map(|v| of_toml(v.get_ref(), place(v.span().start), place, depth + 1)).collect()),
        DeValue::Table(table) => return of_table(table, at, place, depth),
    };
    Tree { place: at, node }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<Node>::deserialize(deserializer)?;
        let line = usize::try_from(spanned.referenced.line()).unwrap_or_default();
        Ok(Tree { place: Place { file: String::new(), line }, node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Empty)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Empty)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Node, Tree>()? {
            if let Node::Text(name) = key {
                entries.push((name, value));
            }
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_json_and_toml_give_the_same_values_with_their_lines() {
        let yaml = Tree::yaml("a.yaml", "a:\n  b:\n    - c: 80\n      d: true\n").unwrap();
        let json = Tree::yaml("a.json", "{\"a\":\n {\"b\":\n [{\"c\": 80,\n \"d\": true}]}}").unwrap();
        let toml = Tree::toml("a.toml", "[a]\n\n[[a.b]]\nc = 80\nd = true\n").unwrap();
        for (tree, line) in [(&yaml, 4), (&json, 4), (&toml, 5)] {
            let item = tree.items_of("A.b")[0];
            assert_eq!((item.text("c"), item.truth("d")), (Some("80"), Some(true)));
            assert_eq!(item.get("d").unwrap().place.line, line, "{}", tree.place);
        }
        assert_eq!(yaml.get("a.b").unwrap().place.file, "a.yaml");
    }

    #[test]
    fn labels_make_lists_by_number() {
        let mut tree = Tree::default();
        let place = Place::default();
        tree.insert("http.services.App.servers[0].url", "http://a", &place);
        tree.insert("http.Services.app.servers[1].url", "http://b", &place);
        let urls: Vec<&str> = tree.items_of("http.services.app.servers").iter().filter_map(|s| s.text("url")).collect();
        assert_eq!(urls, ["http://a", "http://b"]);
    }

    #[test]
    fn what_is_no_value_is_said_with_its_line() {
        assert_eq!(Tree::yaml("f", "a: 1\nb: [").unwrap_err().0.file, "f");
        assert_eq!(Tree::toml("f", "a = 1\nb = ").unwrap_err().0.line, 2);
    }
}
