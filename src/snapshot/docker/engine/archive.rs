//! Text files out of the archive of a container's folder. Pure: nothing is written anywhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path};

use crate::evidence::config::Files;

/// Files read of one archive, and bytes of each. Configurations are smaller.
const MOST_FILES: usize = 256;
const LARGEST_FILE: u64 = 1 << 20;
/// Entries of one archive that are looked at.
const MOST_ENTRIES: usize = 4096;
/// Links that are followed for one file.
const MOST_LINKS: usize = 8;

/// What an archive held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Text files by their absolute paths. What is no text is left out, and so is a file of more than 1 MiB.
    pub files: Files,
    /// Where the path leads, where it is a link itself: the engine does not follow it.
    pub leads_to: Option<String>,
}

/// Why an archive says nothing: a part of a configuration is not the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It holds more than is read.
    #[error("it holds more than {MOST_FILES} text files")]
    TooMany,
    /// It is broken off or no archive.
    #[error("its archive cannot be read: {0}")]
    Broken(#[from] std::io::Error),
}

/// Reads an archive that the engine made of `path`.
///
/// Links are followed within the archive and never out of it: `default -> ../sites-available/default` is there under both names, and
/// so are files below a folder that is a link.
///
/// # Errors
///
/// [`ArchiveError`] where it is not whole.
pub fn read(archive: impl Read, path: &str) -> Result<Archive, ArchiveError> {
    // The engine names entries from the last part of the path on.
    let path = path.trim_end_matches('/');
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    let (mut files, mut links) = (Files::new(), BTreeMap::new());
    let mut archive = tar::Archive::new(archive);
    for (number, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if number >= MOST_ENTRIES || files.len() >= MOST_FILES {
            return Err(ArchiveError::TooMany);
        }
        let Some(name) = entry.path().ok().and_then(|p| absolute(above, &p)) else { continue };
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let folder = if kind.is_symlink() { name.rsplit_once('/').map_or("", |(folder, _)| folder) } else { above };
            let target = entry.link_name().ok().flatten().and_then(|target| absolute(folder, &target));
            links.extend(target.map(|target| (name, target)));
        } else if kind.is_file() && entry.size() <= LARGEST_FILE {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            files.extend(text.map(|text| (name, text)));
        }
    }
    follow(&mut files, &links);
    let leads_to = links.get(path).filter(|target| !files.keys().any(|name| name.starts_with(target.as_str()))).cloned();
    Ok(Archive { files, leads_to })
}

/// Adds files under the names that links give them.
fn follow(files: &mut Files, links: &BTreeMap<String, String>) {
    for (link, target) in links {
        let Some(target) = resolved(target, links) else { continue };
        let below = format!("{target}/");
        let found = files.iter().filter_map(|(name, text)| {
            let rest = if *name == target { "" } else { name.strip_prefix(&below).map(|_| &name[target.len()..])? };
            Some((format!("{link}{rest}"), text.clone()))
        });
        let found: Vec<_> = found.collect();
        files.extend(found.into_iter().take(MOST_FILES));
        if files.len() > 4 * MOST_FILES {
            return;
        }
    }
}

/// Where a path leads once every link on it is followed; none where they go round.
fn resolved(path: &str, links: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let on_the_way = ends.filter(|end| *end > 0).find_map(|end| links.get(&path[..end]).map(|target| (end, target)));
        let Some((end, target)) = on_the_way else { return Some(path) };
        path = format!("{target}{}", &path[end..]);
    }
    None
}

/// An absolute path without `.` and `..`; none where it is no text.
fn absolute(folder: &str, path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = if path.is_absolute() { Vec::new() } else { folder.split('/').filter(|p| !p.is_empty()).collect() };
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Entry<'a> {
        File(&'a [u8]),
        Link(&'a str),
    }

    fn made(entries: &[(&str, Entry<'_>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, entry) in entries {
            let mut header = tar::Header::new_gnu();
            match entry {
                Entry::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, name, *bytes).unwrap();
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    builder.append_link(&mut header, name, target).unwrap();
                }
            }
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_have_the_paths_that_they_have_in_the_container() {
        let archive = made(&[("nginx/nginx.conf", Entry::File(b"events {}")), ("nginx/conf.d/a.conf", Entry::File(b"server {}"))]);
        let files = read(archive.as_slice(), "/etc/nginx").unwrap().files;
        assert_eq!(files.keys().collect::<Vec<_>>(), ["/etc/nginx/conf.d/a.conf", "/etc/nginx/nginx.conf"]);
        let one = read(made(&[("haproxy.cfg", Entry::File(b"global"))]).as_slice(), "/haproxy.cfg").unwrap().files;
        assert_eq!(one.keys().collect::<Vec<_>>(), ["/haproxy.cfg"]);
    }

    #[test]
    fn links_are_followed_within_the_archive_only() {
        let archive = made(&[
            ("nginx/sites-enabled/default", Entry::Link("../sites-available/default")),
            ("nginx/sites-available/default", Entry::File(b"server {}")),
            ("nginx/live", Entry::Link("/etc/nginx/sites-available")),
            ("nginx/again", Entry::Link("live/default")),
            ("nginx/secret", Entry::Link("/etc/shadow")),
            ("nginx/round", Entry::Link("round")),
        ]);
        let files = read(archive.as_slice(), "/etc/nginx/").unwrap().files;
        let expected =
            ["/etc/nginx/again", "/etc/nginx/live/default", "/etc/nginx/sites-available/default", "/etc/nginx/sites-enabled/default"];
        assert_eq!(files.keys().collect::<Vec<_>>(), expected);
        assert!(files.values().all(|text| text == "server {}"));
    }

    #[test]
    fn what_is_no_text_or_too_large_is_left_out() {
        let large = vec![b'#'; usize::try_from(LARGEST_FILE).unwrap() + 1];
        let archive = made(&[
            ("a/module.so", Entry::File(b"\x7fELF\0")),
            ("a/latin", Entry::File(b"\xe9")),
            ("a/large", Entry::File(&large)),
            ("a/ok", Entry::File(b"ok")),
        ]);
        assert_eq!(read(archive.as_slice(), "/a").unwrap().files.len(), 1);
    }

    #[test]
    fn a_path_that_is_a_link_says_where_it_leads() {
        let read = read(made(&[("conf", Entry::Link("../apache/conf"))]).as_slice(), "/etc/httpd/conf").unwrap();
        assert_eq!((read.files.len(), read.leads_to.as_deref()), (0, Some("/etc/apache/conf")));
    }

    #[test]
    fn a_part_of_an_archive_is_not_the_archive() {
        let archive = made(&[("a/one", Entry::File(b"1")), ("a/two", Entry::File(&[b'2'; 2000]))]);
        assert!(matches!(read(&archive[..1600], "/a"), Err(ArchiveError::Broken(_))));
        let names: Vec<String> = (0..=MOST_FILES).map(|i| format!("a/{i}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Entry::File(b"x"))).collect();
        assert!(matches!(read(made(&many).as_slice(), "/a"), Err(ArchiveError::TooMany)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, path: String) {
            let _ = read(bytes.as_slice(), &path);
        }
    }
}
