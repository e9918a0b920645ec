/**
 * The API as Kubernetes publishes it, for manifests, which no API server has checked. Written by scripts/api-schema.ts.
 */
export const KUBERNETES_RELEASE = '1.36';

/** The type of each kind that Portico reads. */
export const ROOT_TYPES = {
  Ingress: 'V1Ingress',
  IngressClass: 'V1IngressClass',
  Service: 'V1Service',
  EndpointSlice: 'V1EndpointSlice',
  Secret: 'V1Secret',
  ConfigMap: 'V1ConfigMap',
  Namespace: 'V1Namespace',
} as const;

/** Fields as `name:type`; `X[]` is a list, `{X}` a map, `any` and types that are not here may hold anything. */
export const TYPES: Readonly<Record<string, string>> = {
  DiscoveryV1EndpointPort: 'appProtocol:string name:string port:number protocol:string',
  V1ClientIPConfig: 'timeoutSeconds:number',
  V1Condition:
    'lastTransitionTime:string message:string observedGeneration:number reason:string status:string type:string',
  V1ConfigMap:
    'apiVersion:string binaryData:{string} data:{string} immutable:boolean kind:string metadata:V1ObjectMeta',
  V1Endpoint:
    'addresses:string[] conditions:V1EndpointConditions deprecatedTopology:{string} hints:V1EndpointHints hostname:string nodeName:string targetRef:V1ObjectReference zone:string',
  V1EndpointConditions: 'ready:boolean serving:boolean terminating:boolean',
  V1EndpointHints: 'forNodes:V1ForNode[] forZones:V1ForZone[]',
  V1EndpointSlice:
    'addressType:string apiVersion:string endpoints:V1Endpoint[] kind:string metadata:V1ObjectMeta ports:DiscoveryV1EndpointPort[]',
  V1ForNode: 'name:string',
  V1ForZone: 'name:string',
  V1HTTPIngressPath: 'backend:V1IngressBackend path:string pathType:string',
  V1HTTPIngressRuleValue: 'paths:V1HTTPIngressPath[]',
  V1Ingress: 'apiVersion:string kind:string metadata:V1ObjectMeta spec:V1IngressSpec status:V1IngressStatus',
  V1IngressBackend: 'resource:V1TypedLocalObjectReference service:V1IngressServiceBackend',
  V1IngressClass: 'apiVersion:string kind:string metadata:V1ObjectMeta spec:V1IngressClassSpec',
  V1IngressClassParametersReference: 'apiGroup:string kind:string name:string namespace:string scope:string',
  V1IngressClassSpec: 'controller:string parameters:V1IngressClassParametersReference',
  V1IngressLoadBalancerIngress: 'hostname:string ip:string ports:V1IngressPortStatus[]',
  V1IngressLoadBalancerStatus: 'ingress:V1IngressLoadBalancerIngress[]',
  V1IngressPortStatus: 'error:string port:number protocol:string',
  V1IngressRule: 'host:string http:V1HTTPIngressRuleValue',
  V1IngressServiceBackend: 'name:string port:V1ServiceBackendPort',
  V1IngressSpec:
    'defaultBackend:V1IngressBackend ingressClassName:string rules:V1IngressRule[] tls:V1IngressTLS[]',
  V1IngressStatus: 'loadBalancer:V1IngressLoadBalancerStatus',
  V1IngressTLS: 'hosts:string[] secretName:string',
  V1LoadBalancerIngress: 'hostname:string ip:string ipMode:string ports:V1PortStatus[]',
  V1LoadBalancerStatus: 'ingress:V1LoadBalancerIngress[]',
  V1ManagedFieldsEntry:
    'apiVersion:string fieldsType:string fieldsV1:any manager:string operation:string subresource:string time:string',
  V1Namespace:
    'apiVersion:string kind:string metadata:V1ObjectMeta spec:V1NamespaceSpec status:V1NamespaceStatus',
  V1NamespaceCondition: 'lastTransitionTime:string message:string reason:string status:string type:string',
  V1NamespaceSpec: 'finalizers:string[]',
  V1NamespaceStatus: 'conditions:V1NamespaceCondition[] phase:string',
  V1ObjectMeta:
    'annotations:{string} creationTimestamp:string deletionGracePeriodSeconds:number deletionTimestamp:string finalizers:string[] generateName:string generation:number labels:{string} managedFields:V1ManagedFieldsEntry[] name:string namespace:string ownerReferences:V1OwnerReference[] resourceVersion:string selfLink:string uid:string',
  V1ObjectReference:
    'apiVersion:string fieldPath:string kind:string name:string namespace:string resourceVersion:string uid:string',
  V1OwnerReference:
    'apiVersion:string blockOwnerDeletion:boolean controller:boolean kind:string name:string uid:string',
  V1PortStatus: 'error:string port:number protocol:string',
  V1Secret:
    'apiVersion:string data:{string} immutable:boolean kind:string metadata:V1ObjectMeta stringData:{string} type:string',
  V1Service: 'apiVersion:string kind:string metadata:V1ObjectMeta spec:V1ServiceSpec status:V1ServiceStatus',
  V1ServiceBackendPort: 'name:string number:number',
  V1ServicePort:
    'appProtocol:string name:string nodePort:number port:number protocol:string targetPort:IntOrString',
  V1ServiceSpec:
    'allocateLoadBalancerNodePorts:boolean clusterIP:string clusterIPs:string[] externalIPs:string[] externalName:string externalTrafficPolicy:string healthCheckNodePort:number internalTrafficPolicy:string ipFamilies:string[] ipFamilyPolicy:string loadBalancerClass:string loadBalancerIP:string loadBalancerSourceRanges:string[] ports:V1ServicePort[] publishNotReadyAddresses:boolean selector:{string} sessionAffinity:string sessionAffinityConfig:V1SessionAffinityConfig trafficDistribution:string type:string',
  V1ServiceStatus: 'conditions:V1Condition[] loadBalancer:V1LoadBalancerStatus',
  V1SessionAffinityConfig: 'clientIP:V1ClientIPConfig',
  V1TypedLocalObjectReference: 'apiGroup:string kind:string name:string',
};

/** The kinds of the built-in API groups. */
export const BUILT_IN_KINDS: Readonly<Record<string, string>> = {
  'admissionregistration.k8s.io/v1':
    'MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration',
  'admissionregistration.k8s.io/v1alpha1': 'MutatingAdmissionPolicy MutatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/v1beta1': 'MutatingAdmissionPolicy MutatingAdmissionPolicyBinding',
  'apiextensions.k8s.io/v1': 'CustomResourceDefinition',
  'apiregistration.k8s.io/v1': 'APIService',
  'apps/v1': 'ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet',
  'authentication.k8s.io/v1': 'SelfSubjectReview TokenReview',
  'authentication.k8s.io/v1alpha1': 'SelfSubjectReview',
  'authentication.k8s.io/v1beta1': 'SelfSubjectReview',
  'authorization.k8s.io/v1':
    'LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview',
  'autoscaling/v1': 'HorizontalPodAutoscaler',
  'autoscaling/v2': 'HorizontalPodAutoscaler',
  'batch/v1': 'CronJob Job',
  'certificates.k8s.io/v1': 'CertificateSigningRequest',
  'certificates.k8s.io/v1alpha1': 'ClusterTrustBundle',
  'certificates.k8s.io/v1beta1': 'ClusterTrustBundle PodCertificateRequest',
  'coordination.k8s.io/v1': 'Lease',
  'coordination.k8s.io/v1alpha2': 'LeaseCandidate',
  'coordination.k8s.io/v1beta1': 'LeaseCandidate',
  'discovery.k8s.io/v1': 'EndpointSlice',
  'events.k8s.io/v1': 'Event',
  'flowcontrol.apiserver.k8s.io/v1': 'FlowSchema PriorityLevelConfiguration',
  'flowcontrol.apiserver.k8s.io/v1beta3': 'FlowSchema PriorityLevelConfiguration',
  'internal.apiserver.k8s.io/v1alpha1': 'StorageVersion',
  'networking.k8s.io/v1': 'IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR',
  'networking.k8s.io/v1alpha1': 'IPAddress ServiceCIDR',
  'networking.k8s.io/v1beta1': 'IPAddress ServiceCIDR',
  'node.k8s.io/v1': 'RuntimeClass',
  'policy/v1': 'PodDisruptionBudget',
  'rbac.authorization.k8s.io/v1': 'ClusterRole ClusterRoleBinding Role RoleBinding',
  'resource.k8s.io/v1': 'DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice',
  'resource.k8s.io/v1alpha2':
    'PodSchedulingContext ResourceClaim ResourceClaimParameters ResourceClaimTemplate ResourceClass ResourceClassParameters ResourceSlice',
  'resource.k8s.io/v1alpha3': 'DeviceTaintRule ResourcePoolStatusRequest',
  'resource.k8s.io/v1beta1': 'DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice',
  'resource.k8s.io/v1beta2': 'DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate ResourceSlice',
  'scheduling.k8s.io/v1': 'PriorityClass',
  'scheduling.k8s.io/v1alpha1': 'Workload',
  'scheduling.k8s.io/v1alpha2': 'PodGroup Workload',
  'storage.k8s.io/v1':
    'CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass',
  'storage.k8s.io/v1alpha1': 'VolumeAttributesClass',
  'storage.k8s.io/v1beta1': 'VolumeAttributesClass',
  'storagemigration.k8s.io/v1alpha1': 'StorageVersionMigration',
  'storagemigration.k8s.io/v1beta1': 'StorageVersionMigration',
  v1: 'Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount',
};
