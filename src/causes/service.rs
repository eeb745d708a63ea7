//! Causes in the Service object.

super::group![svc_externalname_unresolvable, svc_named_port_missing, svc_selector_mismatch, svc_targetport_wrong];
