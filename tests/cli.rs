//! The built binary: what it says, where, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, in its helpers as well")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const INGRESS: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  rules:
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
";
const OTHER_INGRESS: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: api, namespace: shop}
spec:
  rules:
  - host: api.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";
/// A cluster that refuses every connection.
const NOBODY: &str = "apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\"}}]
users: [{name: a, user: {token: x}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
";

/// A folder with files, and the binary run in it without anything of the caller's surroundings.
struct Place(tempfile::TempDir);

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let file = place.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_culprit"));
        command.args(arguments.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.path()).env("LANG", "C.UTF-8");
        command
    }

    fn run(&self, arguments: &str) -> Ended {
        ended(self.command(arguments).output().unwrap())
    }

    fn json(&self, arguments: &str) -> Value {
        let ended = self.run(&format!("{arguments} -o json"));
        serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}{}", ended.out, ended.err))
    }
}

fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended = Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    ended
}

/// What a run says that cannot do its work: nothing on standard output, one line and a hint at most on the other.
fn refused(ended: &Ended, code: i32) -> String {
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.err);
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!(lines[0].starts_with("error: "), "{}", ended.err);
    assert!(lines.len() == 1 || (lines.len() == 2 && lines[1].starts_with("hint: ")), "{}", ended.err);
    ended.err.clone()
}

#[test]
fn wrong_usage_is_one_clear_line_and_exit_2() {
    let place = Place::new(&[
        ("web.yaml", &format!("{INGRESS}---\n{SERVICE}")),
        ("bad.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: [}\n"),
        ("kubeconfig", NOBODY),
        ("empty/README", ""),
    ]);
    for (arguments, said) in [
        ("diagnose pod/web", "\"pod\" cannot be diagnosed"),
        ("diagnose web", "write KIND/NAME, for example ingress/web"),
        ("diagnose ingress", "\"ingress\" is a kind"),
        ("diagnose -l a=b=c", "no label selector"),
        ("diagnose -f bad.yaml", "bad.yaml:3:"),
        ("diagnose -f missing.yaml", "missing.yaml cannot be read"),
        ("diagnose -f empty", "has no file that ends in .yaml"),
        ("diagnose ingress/wbe -f web.yaml", "did you mean ingress/web -n shop?"),
        ("diagnose ingress/web -n blog -f web.yaml", "did you mean ingress/web -n shop?"),
        ("diagnose service/nothing-like-it -n shop -f web.yaml", "namespace shop has web"),
        ("diagnose -n blog -f web.yaml", "there is no Ingress in namespace blog"),
        ("diagnose -l app=db -f web.yaml", "there is no Ingress with these labels"),
        ("diagnose --kubeconfig kubeconfig --context other", "has no context \"other\""),
        ("explain svc-targetport-wrogn-at-all-events", "there is no cause"),
        ("manifests --namespace Shop", "no name of a namespace"),
    ] {
        let said_in_fact = refused(&place.run(arguments), 2);
        assert!(said_in_fact.contains(said), "{arguments}: {said_in_fact}");
    }
}

#[test]
fn what_the_parser_refuses_is_exit_2_as_well() {
    let place = Place::new(&[]);
    for arguments in [
        "",
        "bogus",
        "diagnose --bogus",
        "diagnose -o xml",
        "diagnose -A -n shop",
        "diagnose -A ingress/web",
        "diagnose a b c",
        "diagnose --wait=soon",
        "diagnose --timeout 2h",
        "diagnose --concurrency 0",
        "diagnose --write-status -f x.yaml",
        "completion nosuchshell",
    ] {
        let ended = place.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments}: {}", ended.err);
        assert!(ended.out.is_empty(), "{arguments}");
    }
}

#[test]
fn a_cluster_that_cannot_be_looked_at_is_exit_3() {
    let exec = NOBODY
        .replace("{token: x}", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}");
    let place = Place::new(&[("nobody", NOBODY), ("exec", &exec), ("broken", "a: ["), ("empty", "{}")]);
    for (arguments, said) in [
        ("diagnose", "no cluster is configured"),
        ("diagnose --kubeconfig nobody", "https://127.0.0.1:1/ cannot be reached: Connection refused"),
        ("diagnose ingress/web --kubeconfig nobody --wait=1s", "cannot be reached"),
        ("diagnose --kubeconfig missing", "the kubeconfig missing cannot be read: No such file"),
        ("diagnose --kubeconfig broken", "the kubeconfig cannot be used"),
        ("diagnose --kubeconfig empty", "the kubeconfig has no current context"),
        ("diagnose --kubeconfig exec", "no-such-plugin"),
    ] {
        let said_in_fact = refused(&place.run(arguments), 3);
        assert!(said_in_fact.contains(said), "{arguments}: {said_in_fact}");
    }
}

#[test]
fn a_fault_that_manifests_state_is_found_offline_and_is_exit_1() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    let ended = place.run("diagnose -f web.yaml");
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
    assert!(ended.out.starts_with("Failing  ingress/web -n shop  shop.test/  route-backend-service-missing (Likely)\n"), "{}", ended.out);
    for part in ["  Fix  ", "Route ✗", "culprit explain route-backend-service-missing"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "colours where there is no terminal");
}

#[test]
fn manifests_without_a_fault_prove_nothing_and_are_exit_3() {
    let place = Place::new(&[("web.yaml", &format!("{INGRESS}---\n{SERVICE}"))]);
    let ended = place.run("diagnose -f web.yaml");
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("To tell     diagnose it in its cluster, without -f"), "{}", ended.out);
    let document = place.json("diagnose -f web.yaml");
    assert_eq!(document["status"]["verdict"], "Unknown");
    assert_eq!(document["status"]["findings"], serde_json::json!([]));
}

#[test]
fn every_form_of_a_target_names_the_same_document() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    for target in ["", "ingress/web", "ing/web -n shop", "Ingress web", "ingresses.networking.k8s.io/web"] {
        let document = place.json(&format!("diagnose {target} -f web.yaml"));
        assert_eq!(document["apiVersion"], "culprit.dev/v1alpha1", "{target}");
        assert_eq!(document["kind"], "Diagnosis", "{target}");
        assert_eq!(document["metadata"], serde_json::json!({"name": "ingress-web", "namespace": "shop"}), "{target}");
        assert_eq!(document["spec"]["target"], serde_json::json!({"kind": "Ingress", "name": "web"}), "{target}");
        assert_eq!(document["status"]["findings"][0]["cause"], "route-backend-service-missing", "{target}");
    }
}

#[test]
fn several_targets_are_a_list_and_a_table() {
    let place = Place::new(&[("all/web.yaml", INGRESS), ("all/deeper/api.yml", OTHER_INGRESS), ("all/notes.txt", "no manifest")]);
    let list = place.json("diagnose -f all");
    assert_eq!((&list["apiVersion"], &list["kind"]), (&"v1".into(), &"List".into()));
    let names: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|d| &d["metadata"]["name"]).collect();
    assert_eq!(names, ["ingress-api", "ingress-web"]);
    let text = place.run("diagnose -f all").out;
    assert!(text.starts_with("NAMESPACE  TARGET       VERDICT  HOP    CAUSE\n"), "{text}");
    assert!(text.ends_with("\n2 targets: 2 failing, 0 degraded, 0 unknown, 0 healthy.\n"), "{text}");
    assert_eq!(place.json("diagnose -A -l app=web -f all")["items"].as_array().unwrap().len(), 1);
}

#[test]
fn manifests_are_read_from_standard_input() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    let input = std::fs::File::open(place.path().join("web.yaml")).unwrap();
    let ended = ended(place.command("diagnose -f -").stdin(input).output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.out.contains("ingress/web"), "{}", ended.out);
}

#[test]
fn settings_are_taken_from_a_diagnosis_in_the_files() {
    let written = |timeout: &str| {
        let spec = format!("spec: {{target: {{kind: Ingress, name: web}}, probe: {{timeout: {timeout}}}}}");
        format!("{INGRESS}---\napiVersion: culprit.dev/v1alpha1\nkind: Diagnosis\nmetadata: {{name: mine, namespace: shop}}\n{spec}\n")
    };
    let place = Place::new(&[("good.yaml", &written("2s")), ("bad.yaml", &written("soon")), ("other.yaml", OTHER_INGRESS)]);
    assert_eq!(place.json("diagnose -f good.yaml")["spec"]["probe"]["timeout"], "2s");
    let said = refused(&place.run("diagnose -f bad.yaml"), 2);
    assert!(said.contains("Ingress/shop/web") && said.contains("spec.probe.timeout \"soon\""), "{said}");
    // Among many, one that cannot be read does not keep the others from being diagnosed.
    let many = place.json("diagnose -f bad.yaml -f other.yaml");
    let verdicts: Vec<&Value> = many["items"].as_array().unwrap().iter().map(|d| &d["status"]["verdict"]).collect();
    assert_eq!(verdicts, ["Failing", "Unknown"]);
}

#[test]
fn yaml_is_the_same_document_as_json() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    let yaml: Value = serde_yaml::from_str(&place.run("diagnose -f web.yaml -o yaml").out).unwrap();
    let json = place.json("diagnose -f web.yaml");
    for pointer in ["/kind", "/spec", "/status/findings/0/cause", "/status/hops"] {
        assert_eq!(yaml.pointer(pointer), json.pointer(pointer), "{pointer}");
    }
}

#[test]
fn what_names_hold_never_reaches_the_terminal_as_it_is() {
    // Names of objects are refused; those that an object refers to are shown, escaped.
    let hostile = "\"w\\e[2Jb\\u202E\"";
    let place = Place::new(&[
        ("named.yaml", &INGRESS.replace("name: web, namespace", &format!("name: {hostile}, namespace"))),
        ("refers.yaml", &INGRESS.replace("host: shop.test", &format!("host: {hostile}"))),
    ]);
    let refused = refused(&place.run("diagnose -f named.yaml"), 2);
    assert!(refused.contains("is no name of a Ingress") && !refused.contains(['\x1b', '\u{202e}']), "{refused:?}");
    let text = place.run("diagnose -f refers.yaml").out;
    assert!(text.contains("w\\u{1b}[2Jb\\u{202e}"), "{text}");
    assert!(!text.contains(['\x1b', '\u{202e}']), "{text:?}");
}

#[test]
fn a_locale_without_unicode_gets_ascii_and_a_narrow_terminal_short_lines() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    let ascii = ended(place.command("diagnose -f web.yaml").env("LC_ALL", "POSIX").output().unwrap());
    assert!(ascii.out.is_ascii(), "{}", ascii.out);
    let narrow = ended(place.command("diagnose -f web.yaml").env("COLUMNS", "60").output().unwrap());
    let row: Vec<&str> = narrow.out.lines().filter(|l| l.contains('─') || l.contains('┄')).collect();
    assert!(!row.is_empty() && row.iter().all(|l| l.chars().count() <= 60), "{row:?}");
}

#[test]
fn a_reader_that_leaves_changes_neither_the_answer_nor_its_exit_status() {
    let place = Place::new(&[("web.yaml", INGRESS)]);
    for (arguments, code) in [("diagnose -f web.yaml", 1), ("explain", 0), ("manifests --crds", 0), ("completion bash", 0)] {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = ended(child.wait_with_output().unwrap());
        assert_eq!((ended.code, ended.err.as_str()), (Some(code), ""), "{arguments}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let place = Place::new(&[]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = ended(place.command("explain").stdout(full).output().unwrap());
    assert_eq!(ended.code, Some(3));
    assert!(ended.err.contains("the output could not be written"), "{}", ended.err);
}

#[test]
fn every_cause_is_listed_and_explained() {
    let place = Place::new(&[]);
    let catalogue = place.run("explain");
    assert_eq!(catalogue.code, Some(0));
    for cause in culprit::causes::all() {
        assert!(catalogue.out.contains(cause.slug), "{}", cause.slug);
        let page = place.run(&format!("explain {}", cause.slug));
        assert_eq!(page.code, Some(0));
        assert!(page.out.starts_with(cause.slug) && page.out.contains("How to fix"), "{}", page.out);
        assert!(cause.signatures.iter().all(|s| page.out.contains(&s.to_string())), "{}", page.out);
    }
    let near = refused(&place.run("explain route-backend-service-mising"), 2);
    assert!(near.contains("did you mean route-backend-service-missing"), "{near}");
}

#[test]
fn pages_are_written_for_every_cause_and_only_generated_ones_are_removed() {
    let gone = format!("{}\n# gone\n", culprit::report::causes::GENERATED);
    let place = Place::new(&[("pages/gone.md", &gone), ("pages/notes.md", "# Mine\n")]);
    assert_eq!(place.run("docs pages").code, Some(0));
    let exists = |name: &str| place.path().join("pages").join(name).exists();
    assert!(exists("notes.md") && !exists("gone.md"));
    let index = std::fs::read_to_string(place.path().join("pages/README.md")).unwrap();
    for cause in culprit::causes::all() {
        let name = format!("{}.md", cause.slug);
        assert!(exists(&name) && index.contains(&format!("({name})")), "{name}");
    }
    let said = refused(&place.run("docs pages/notes.md"), 2);
    assert!(said.contains("pages/notes.md cannot be written"), "{said}");
}

#[test]
fn a_completion_script_is_made_for_every_shell() {
    let place = Place::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = place.run(&format!("completion {shell}"));
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.out.contains("diagnose") && ended.out.contains("write-status"), "{shell}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let said = format!("culprit {}\n", env!("CARGO_PKG_VERSION"));
    let place = Place::new(&[]);
    assert_eq!(place.run("version").out, said);
    assert_eq!(place.run("--version").out, said);
}

#[test]
fn the_definition_is_printed_as_it_is_kept() {
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds/culprit.dev.yaml");
    assert_eq!(Place::new(&[]).run("manifests --crds").out, std::fs::read_to_string(kept).unwrap());
}
