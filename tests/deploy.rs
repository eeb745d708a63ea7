//! The installation, held against the code: exactly the rights that are used, and none of the kinds that must not be read.

#[path = "support/roles.rs"]
mod roles;

use std::collections::BTreeSet;

use culprit::snapshot::objects::Kind;
use roles::{documents, rights};
use serde_json::Value;

fn installation() -> Vec<Value> {
    documents(include_str!("../deploy/culprit.yaml"))
}

fn without_agents() -> Vec<Value> {
    documents(include_str!("../deploy/culprit-without-agent.yaml"))
}

fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Ingress => "networking.k8s.io/ingresses",
        Kind::IngressClass => "networking.k8s.io/ingressclasses",
        Kind::NetworkPolicy => "networking.k8s.io/networkpolicies",
        Kind::AdminNetworkPolicy => "policy.networking.k8s.io/adminnetworkpolicies",
        Kind::BaselineAdminNetworkPolicy => "policy.networking.k8s.io/baselineadminnetworkpolicies",
        Kind::ClusterNetworkPolicy => "policy.networking.k8s.io/clusternetworkpolicies",
        Kind::Service => "/services",
        Kind::Pod => "/pods",
        Kind::Node => "/nodes",
        Kind::Namespace => "/namespaces",
        Kind::EndpointSlice => "discovery.k8s.io/endpointslices",
        Kind::Deployment => "apps/deployments",
        Kind::ReplicaSet => "apps/replicasets",
        Kind::StatefulSet => "apps/statefulsets",
        Kind::DaemonSet => "apps/daemonsets",
        Kind::Job => "batch/jobs",
        Kind::HorizontalPodAutoscaler => "autoscaling/horizontalpodautoscalers",
        Kind::Event => "/events",
        Kind::Container | Kind::Network => panic!("the API has no {kind}"),
    }
}

#[test]
fn the_controller_has_exactly_the_rights_that_it_uses() {
    let mut used: BTreeSet<String> =
        Kind::of_kubernetes().flat_map(|k| ["list", "watch"].map(|verb| format!("{} {verb}", resource(k)))).collect();
    used.extend(["list", "watch", "create", "patch"].map(|verb| format!("culprit.dev/diagnoses {verb}")));
    used.insert("culprit.dev/diagnoses/status patch".into());
    // Whether kinds that not every cluster has are served.
    used.extend(["list", "watch"].map(|verb| format!("apiextensions.k8s.io/customresourcedefinitions {verb}")));
    used.extend(["create", "patch"].map(|verb| format!("events.k8s.io/events {verb}")));
    assert_eq!(rights(&installation(), "ClusterRole", "culprit"), used);
    let lease: BTreeSet<String> = ["create", "get", "patch"].map(|verb| format!("coordination.k8s.io/leases {verb}")).into();
    assert_eq!(rights(&installation(), "Role", "culprit"), lease);
}

#[test]
fn the_job_has_exactly_the_rights_that_it_uses() {
    let mut used: BTreeSet<String> = Kind::of_kubernetes().map(|k| format!("{} list", resource(k))).collect();
    used.extend(["list", "create", "patch"].map(|verb| format!("culprit.dev/diagnoses {verb}")));
    used.insert("culprit.dev/diagnoses/status patch".into());
    assert_eq!(rights(&documents(include_str!("../deploy/job.yaml")), "ClusterRole", "culprit-once"), used);
}

#[test]
fn for_agents_it_has_exactly_the_rights_that_it_uses() {
    let mut used = BTreeSet::from(["authentication.k8s.io/tokenreviews create".to_owned()]);
    used.extend(["list", "watch", "create", "patch"].map(|verb| format!("culprit.dev/connectivitychecks {verb}")));
    used.insert("culprit.dev/connectivitychecks/status patch".into());
    assert_eq!(rights(&installation(), "ClusterRole", "culprit-agents"), used);
    let authority = ["secrets", "configmaps"].iter().flat_map(|r| ["create", "get", "update"].map(|verb| format!("/{r} {verb}")));
    assert_eq!(rights(&installation(), "Role", "culprit-agents"), authority.collect());
}

#[test]
fn without_agents_it_is_the_same_but_for_them() {
    let name = |d: &Value| format!("{} {} {}", d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]);
    let of = |documents: Vec<Value>| documents.into_iter().map(|d| (name(&d), d)).collect::<std::collections::BTreeMap<_, _>>();
    let (with, without) = (of(installation()), of(without_agents()));
    let agents: Vec<&String> = with.keys().filter(|n| !without.contains_key(*n)).collect();
    assert!(agents.iter().all(|n| n.contains("agent")) && agents.len() == 11, "{agents:?}");
    let changed: Vec<&String> = without.iter().filter(|(n, d)| with.get(*n) != Some(d)).map(|(n, _)| n).collect();
    let expected = [r#""Deployment" "culprit-system" "culprit""#, r#""NetworkPolicy" "culprit-system" "culprit""#];
    assert_eq!(changed, expected);
}

/// What a rule names beyond the one Secret that holds the certificate authority.
fn words_of(rule: &Value) -> String {
    let of_authority = rule["resources"] == serde_json::json!(["secrets"])
        && (rule["resourceNames"] == serde_json::json!(["culprit-ca"]) || rule["verbs"] == serde_json::json!(["create"]));
    if of_authority { String::new() } else { rule.to_string() }
}

#[test]
fn nothing_reads_secrets_or_enters_pods() {
    for text in [include_str!("../deploy/culprit.yaml"), include_str!("../deploy/job.yaml")] {
        for document in documents(text).iter().filter(|d| d["kind"] == "ClusterRole" || d["kind"] == "Role") {
            let rules: String = document["rules"].as_array().into_iter().flatten().map(words_of).collect();
            for word in ["secrets", "exec", "portforward", "proxy", "\"*\"", "delete\",\"deletecollection"] {
                assert!(!rules.contains(word), "{}: {word}", document["metadata"]["name"]);
            }
        }
    }
    assert!(!without_agents().iter().any(|d| d["rules"].to_string().contains("secrets")));
}

#[test]
fn the_agent_may_do_nothing_in_the_api_and_no_more_on_its_node_than_it_needs() {
    let agent = installation().into_iter().find(|d| d["kind"] == "DaemonSet").expect("an agent");
    let pod = &agent["spec"]["template"]["spec"];
    let account = pod["serviceAccountName"].as_str().expect("an account of its own");
    let bound = installation().iter().flat_map(|d| d["subjects"].as_array().cloned().unwrap_or_default()).any(|s| s["name"] == account);
    assert!(!bound && pod["automountServiceAccountToken"] == false);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for host in ["hostNetwork", "hostIPC"] {
        assert!(pod[host].is_null(), "{host}");
    }
    let [container] = pod["containers"].as_array().expect("containers").as_slice() else { panic!("one container") };
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert!(context["privileged"].is_null() && container["ports"][0]["containerPort"] == culprit::connectivity::ECHO);
    let capabilities = serde_json::json!({"drop": ["ALL"], "add": ["SYS_ADMIN", "SYS_PTRACE", "NET_RAW", "DAC_READ_SEARCH"]});
    assert_eq!(context["capabilities"], capabilities);
    let policy =
        installation().into_iter().find(|d| d["kind"] == "NetworkPolicy" && d["metadata"]["name"] == "culprit-agent").expect("a policy");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], culprit::connectivity::ECHO);
    let token = pod["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"].clone();
    assert_eq!(token["audience"], culprit::stream::AUDIENCE);
    let volumes = pod["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().all(|v| v["hostPath"].is_null()));
}

#[test]
fn agents_and_controller_find_each_other() {
    let named = |kind: &str, name: &str| {
        let all = installation();
        all.into_iter().find(|d| d["kind"] == kind && d["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let service = named("Service", culprit::stream::SERVICE);
    let address = format!("--controller={}:{}", culprit::stream::server_name("culprit-system"), culprit::stream::PORT);
    assert_eq!(
        named("DaemonSet", "culprit-agent")["spec"]["template"]["spec"]["containers"][0]["args"],
        serde_json::json!(["agent", address])
    );
    assert_eq!((&service["spec"]["clusterIP"], &service["spec"]["publishNotReadyAddresses"]), (&"None".into(), &true.into()));
    assert_eq!(service["spec"]["ports"][0]["port"], culprit::stream::PORT);
    let controller = &named("Deployment", "culprit")["spec"]["template"]["spec"]["containers"][0];
    assert!(controller["ports"].as_array().expect("ports").iter().any(|p| p["containerPort"] == culprit::stream::PORT));
    assert_eq!(controller["args"], serde_json::json!(["controller", "--agents"]));
}

#[test]
fn every_pod_satisfies_the_restricted_standard() {
    let mut seen = 0;
    for document in installation().into_iter().chain(documents(include_str!("../deploy/job.yaml"))) {
        let Some(pod) = document.pointer("/spec/template/spec") else { continue };
        // It has a namespace of its own, and a test.
        if document["kind"] == "DaemonSet" {
            continue;
        }
        seen += 1;
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in pod["containers"].as_array().expect("containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"]["drop"][0], "ALL");
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
    assert_eq!(seen, 2, "the controller and the Job");
}

#[test]
fn on_a_docker_host_it_has_these_rights_and_no_more() {
    let compose: Value = serde_yaml::from_str(include_str!("../deploy/compose.yaml")).expect("a Compose file");
    let service = &compose["services"]["culprit"];
    assert_eq!(service["image"], culprit::IMAGE);
    assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]));
    assert_eq!(service["cap_add"], serde_json::json!(["SYS_ADMIN", "SYS_PTRACE", "NET_RAW", "DAC_READ_SEARCH"]));
    assert_eq!((&service["read_only"], &service["privileged"]), (&true.into(), &Value::Null));
    assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]));
    let volumes = service["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().all(|v| v.as_str().is_some_and(|v| v.ends_with(":ro"))));
}

#[test]
fn the_definitions_print_the_columns_of_the_design() {
    for (short, narrow, wide) in [
        ("dx", &["Target", "Verdict", "Cause", "Since", "Age"][..], &["Hop", "Message"][..]),
        ("cc", &["Check", "Verdict", "Pairs", "Failing", "Cause", "Since", "Age"], &["Message"]),
    ] {
        let is_it = |d: &Value| d["kind"] == "CustomResourceDefinition" && d["spec"]["names"]["shortNames"][0] == short;
        let definition = installation().into_iter().find(is_it).expect("a definition");
        let version = &definition["spec"]["versions"][0];
        let columns = version["additionalPrinterColumns"].as_array().expect("columns");
        let of = |wide: bool| -> Vec<&str> {
            columns.iter().filter(|c| (c["priority"] == 1) == wide).filter_map(|c| c["name"].as_str()).collect()
        };
        assert_eq!(of(false), narrow);
        assert_eq!(of(true), wide);
        assert_eq!(definition["spec"]["names"]["categories"][0], "culprit");
        assert!(version["subresources"]["status"].is_object());
    }
}
