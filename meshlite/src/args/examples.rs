//! Examples that end the help texts.

pub(super) const EXAMPLES: &str = "\
Examples:
  meshlite demo                                          see it work; prints commands to copy
  meshlite get snapshot --manifests my-service.yaml      what a manifest means, and what is wrong with it
  meshlite standalone --manifests manifests/ --mode userspace --service-cidr 127.96.0.0/16

Every flag can be set by the environment variable that its help names. Exit status: 0 success, 1 failure,
2 usage or configuration.";

pub(super) const CONTROL_PLANE_EXAMPLES: &str = "\
Example:
  meshlite control-plane --manifests /etc/meshlite/manifests --state-dir /var/lib/meshlite
  grpcurl -plaintext 127.0.0.1:18000 list";

pub(super) const NODE_EXAMPLES: &str = "\
Examples:
  meshlite node --control-plane http://127.0.0.1:18000 --node-name node-1
  meshlite node --dry-run          print the table and leave this host alone
  curl 127.0.0.1:10249/proxyMode";

pub(super) const INGRESS_EXAMPLES: &str = "\
Example:
  meshlite ingress --control-plane http://127.0.0.1:18000
  curl -H 'Host: shop.example.com' 127.0.0.1:8080/";

pub(super) const STANDALONE_EXAMPLES: &str = "\
Examples:
  meshlite standalone --manifests manifests/ --state-dir state/
  meshlite standalone --manifests manifests/ --mode userspace --service-cidr 127.96.0.0/16
                                   without privileges: on Linux all of 127.0.0.0/8 can be bound";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  meshlite demo                                  then copy the commands that it prints
  meshlite demo --manifests deployment.yaml      your own Deployments, Services and Ingresses
  meshlite demo --check                          prove it

The demo serves from user space on loopback addresses only, also as root, and leaves the host's tables alone.
While it runs, edit a manifest in the folder that it names: the traffic changes at once.";

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  meshlite get snapshot
  meshlite get snapshot --manifests my-service.yaml
  meshlite get snapshot --manifests manifests/ -o json";
