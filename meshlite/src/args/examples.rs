//! Examples that end the help texts.

pub(super) const EXAMPLES: &str = "\
Examples:
  meshlite demo                                          see it work; prints commands to copy
  meshlite get snapshot --manifests my-service.yaml      what a manifest means, and what is wrong with it
  meshlite standalone --manifests manifests/ --mode userspace --service-cidr 127.96.0.0/16

Every flag can be set by the environment variable that its help names. Exit status: 0 success, 1 failure,
2 usage or configuration; `status`, `diff`, `migrate` and `preflight` say with 1 that not all is as it should be, and with 2
that they cannot know.";

pub(super) const CONTROL_PLANE_EXAMPLES: &str = "\
Examples:
  meshlite control-plane --kubernetes --listen 0.0.0.0:18000       in a Pod
  meshlite control-plane --kubeconfig ~/.kube/config               from outside of the cluster
  meshlite control-plane --manifests /etc/meshlite/manifests --state-dir /var/lib/meshlite
  grpcurl -plaintext 127.0.0.1:18000 list                          with --manifests, on loopback";

pub(super) const NODE_EXAMPLES: &str = "\
Examples:
  meshlite node --control-plane http://127.0.0.1:18000 --node-name node-1
  meshlite node --control-plane https://10.0.0.1:18000,https://10.0.0.2:18000 --ca-file /etc/meshlite/ca.crt \
    --token-file /var/run/secrets/meshlite.io/token --state-dir /var/lib/meshlite
  meshlite node --config /var/lib/kube-proxy/config.conf           with the configuration of kube-proxy
  meshlite node --dry-run          print the table and leave this host alone
  meshlite node init               set this host up for it
  meshlite node cleanup            remove all of it from this host
  curl 127.0.0.1:10249/proxyMode";

pub(super) const NODE_INIT_EXAMPLES: &str = "\
Examples:
  meshlite node init                                     for whatever works here
  meshlite node init --mode ipvs --ipvs-strict-arp
  meshlite node init --config kubeadm.yaml --no-sysctls  says which sysctls are not as they should be
  meshlite node init --host-root /host                   in a privileged container that has the host's root there";

pub(super) const NODE_CLEANUP_EXAMPLES: &str = "\
Examples:
  meshlite node cleanup                          after `meshlite node` was stopped; again does no harm
  meshlite node cleanup --keep-virtual-servers   kube-proxy serves again, with IPVS";

pub(super) const NODE_SETS_EXAMPLES: &str = "\
Examples:
  meshlite node sets
  meshlite node sets -o json
  meshlite node sets --node http://10.0.0.5:10249      another node, whose --metrics-bind-address lets others ask";

pub(super) const INGRESS_EXAMPLES: &str = "\
Examples:
  meshlite ingress --control-plane http://127.0.0.1:18000
  meshlite ingress --control-plane https://10.0.0.1:18000 --ca-file /etc/meshlite/ca.crt \
    --state-dir /var/lib/meshlite --secrets-dir /run/meshlite
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
  meshlite get services -n shop
  meshlite get endpoints web -o wide
  meshlite get routes shop.example.com --node http://127.0.0.1:10254     what this ingress has installed
  meshlite get certificates -o json
  meshlite get endpoints -n shop --watch

Exit status: 0 printed; 1 it cannot be fetched or read, or there is no object of the name; 2 wrong usage.";

pub(super) const PREFLIGHT_EXAMPLES: &str = "\
Examples:
  meshlite preflight                                     as a node with the defaults would find this host
  meshlite preflight --config /var/lib/kube-proxy/config.conf --service-node-port-range 80-32767
  meshlite preflight --mode ipvs -o json
  meshlite preflight --host-root /host                   in a privileged container that has the host's root there";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  . <(meshlite completions bash)
  meshlite completions zsh >~/.zfunc/_meshlite           a folder of fpath
  meshlite completions fish >~/.config/fish/completions/meshlite.fish";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  meshlite man | man -l -
  meshlite man node init | man -l -";

pub(super) const VERSION_EXAMPLES: &str = "\
Examples:
  meshlite version
  meshlite version -o json";

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  meshlite status
  meshlite status --control-plane https://10.0.0.1:18000 --ca-file ca.crt --token-file token -o wide
  meshlite status --watch
  until meshlite status >/dev/null; do sleep 1; done       wait until every node has what was applied";

pub(super) const MIGRATE_EXAMPLES: &str = "\
Examples:
  meshlite migrate ingresses.yaml
  kubectl get ingress -A -o yaml | meshlite migrate -
  meshlite migrate --cluster --nginx-compat
  meshlite migrate charts/*.yaml -o json";

pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  meshlite diff node-1
  meshlite diff node-1 -o json";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  meshlite explain http://shop.example.com/cart
  meshlite explain https://shop.example.com/cart -X POST -H 'Cookie: canary=always' --client 192.0.2.7
  meshlite explain http://shop.example.com/ -o json --ingress http://10.0.0.5:10254";
