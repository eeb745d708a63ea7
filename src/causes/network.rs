//! Causes in DNS, policies and what carries packets.

super::group![netpol_ingress_deny, node_firewall_blocks];
