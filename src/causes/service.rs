//! Causes in the Service object.

super::group![svc_targetport_wrong];
