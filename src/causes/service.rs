//! Causes in the Service object.

super::group![
    svc_appprotocol_mismatch,
    svc_externalname_host_sni,
    svc_externalname_unresolvable,
    svc_headless_port_remap_ignored,
    svc_ip_family_mismatch,
    svc_itp_local_no_endpoint,
    svc_named_port_missing,
    svc_port_unnamed_multi,
    svc_protocol_udp,
    svc_selector_mismatch,
    svc_selector_too_wide,
    svc_selectorless_no_slice,
    svc_targetport_wrong,
    svc_wrong_namespace,
];

pub(super) use svc_port_unnamed_multi::misfit;
