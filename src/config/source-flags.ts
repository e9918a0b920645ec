import type { Flag } from './flag.ts';

/** Where objects come from: shared by `run`, `check`, `explain` and `audit`. */
export const SOURCE_FLAGS: readonly Flag[] = [
  {
    name: 'kubeconfig',
    value: '<file>',
    description:
      'kubeconfig of the cluster to serve; default: $KUBECONFIG, then ~/.kube/config, then the service account of the Pod',
    whenReading: 'kubeconfig of the cluster to read; default: $KUBECONFIG, then ~/.kube/config',
    group: 'Where objects come from',
  },
  {
    name: 'context',
    value: '<name>',
    description: 'kubeconfig context to use instead of the current one',
    group: 'Where objects come from',
  },
  {
    name: 'manifests',
    value: '<path...>',
    many: true,
    description:
      'serve these manifest files, folders or globs instead of a cluster; they are watched for changes',
    whenReading: 'read these manifest files, folders or globs instead of a cluster; - is standard input',
    group: 'Where objects come from',
  },
  {
    name: 'recursive',
    description: 'also read the subfolders of --manifests',
    group: 'Where objects come from',
  },
  {
    name: 'watch-namespace',
    value: '<glob...>',
    many: true,
    description:
      'read only objects of namespaces that match one of these globs; with literal names, Roles in these namespaces suffice',
    group: 'Where objects come from',
  },
];
