//! The installation, held against the code: exactly the rights that are used, and none of the kinds that must not be read.

#[path = "support/roles.rs"]
mod roles;

use std::collections::BTreeSet;

use culprit::snapshot::objects::Kind;
use roles::{documents, rights};
use serde_json::Value;
use strum::IntoEnumIterator;

fn installation() -> Vec<Value> {
    documents(include_str!("../deploy/culprit.yaml"))
}

fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Ingress => "networking.k8s.io/ingresses",
        Kind::IngressClass => "networking.k8s.io/ingressclasses",
        Kind::NetworkPolicy => "networking.k8s.io/networkpolicies",
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
    }
}

#[test]
fn the_controller_has_exactly_the_rights_that_it_uses() {
    let mut used: BTreeSet<String> = Kind::iter().flat_map(|k| ["list", "watch"].map(|verb| format!("{} {verb}", resource(k)))).collect();
    used.extend(["list", "watch", "create", "patch"].map(|verb| format!("culprit.dev/diagnoses {verb}")));
    used.insert("culprit.dev/diagnoses/status patch".into());
    used.extend(["create", "patch"].map(|verb| format!("events.k8s.io/events {verb}")));
    assert_eq!(rights(&installation(), "ClusterRole", "culprit"), used);
    let lease: BTreeSet<String> = ["create", "get", "patch"].map(|verb| format!("coordination.k8s.io/leases {verb}")).into();
    assert_eq!(rights(&installation(), "Role", "culprit"), lease);
}

#[test]
fn the_job_has_exactly_the_rights_that_it_uses() {
    let mut used: BTreeSet<String> = Kind::iter().map(|k| format!("{} list", resource(k))).collect();
    used.extend(["list", "create", "patch"].map(|verb| format!("culprit.dev/diagnoses {verb}")));
    used.insert("culprit.dev/diagnoses/status patch".into());
    assert_eq!(rights(&documents(include_str!("../deploy/job.yaml")), "ClusterRole", "culprit-once"), used);
}

#[test]
fn nothing_reads_secrets_or_enters_pods() {
    for text in [include_str!("../deploy/culprit.yaml"), include_str!("../deploy/job.yaml")] {
        for document in documents(text).iter().filter(|d| d["kind"] == "ClusterRole" || d["kind"] == "Role") {
            let rules = document["rules"].to_string();
            for word in ["secrets", "exec", "portforward", "proxy", "\"*\"", "delete\",\"deletecollection"] {
                assert!(!rules.contains(word), "{}: {word}", document["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn every_pod_satisfies_the_restricted_standard() {
    let mut seen = 0;
    for document in installation().into_iter().chain(documents(include_str!("../deploy/job.yaml"))) {
        let Some(pod) = document.pointer("/spec/template/spec") else { continue };
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
fn the_definition_prints_the_columns_of_the_design() {
    let definition = installation().into_iter().find(|d| d["kind"] == "CustomResourceDefinition").expect("a definition");
    let version = &definition["spec"]["versions"][0];
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let of =
        |wide: bool| -> Vec<&str> { columns.iter().filter(|c| (c["priority"] == 1) == wide).filter_map(|c| c["name"].as_str()).collect() };
    assert_eq!(of(false), ["Target", "Verdict", "Cause", "Since", "Age"]);
    assert_eq!(of(true), ["Hop", "Message"]);
    assert_eq!(definition["spec"]["names"]["shortNames"][0], "dx");
    assert_eq!(definition["spec"]["names"]["categories"][0], "culprit");
    assert!(version["subresources"]["status"].is_object());
}
