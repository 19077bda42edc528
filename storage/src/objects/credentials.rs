//! Tells whether credentials are set for a store. Without any, `object_store` asks the cloud's metadata service (169.254.169.254).
//! No upload may make this process do that, so such a store is refused before its client is set up.

use std::path::Path;

use object_store::{
    aws::{AmazonS3Builder, AmazonS3ConfigKey as Aws},
    azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Google},
};

/// The variable that allows to use the instance's role.
pub(crate) const INSTANCE_ROLES: &str = "MILLRACE_INSTANCE_ROLES";

/// Returns `true` if the value of a variable means yes.
pub(crate) fn is_on(value: &str) -> bool {
    ["true", "1", "yes", "on", "t", "y"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

/// Returns `true` if S3 credentials are set. Checks what `object_store` looks for, in its order, before it asks the metadata service.
pub(crate) fn has_s3(builder: &AmazonS3Builder) -> bool {
    let value = |key: Aws| builder.get_config_value(&key).unwrap_or_default();
    let has = |key: Aws| !value(key).is_empty();
    has(Aws::AccessKeyId)
        || has(Aws::SecretAccessKey)
        || (has(Aws::WebIdentityTokenFile) && has(Aws::RoleArn))
        || has(Aws::ContainerCredentialsRelativeUri)
        || (has(Aws::ContainerCredentialsFullUri) && has(Aws::ContainerAuthorizationTokenFile))
        || is_on(&value(Aws::SkipSignature))
}

/// Returns `true` if credentials for Google Cloud Storage are set.
pub(crate) fn has_gs(builder: &GoogleCloudStorageBuilder) -> bool {
    let value = |key: Google| builder.get_config_value(&key).unwrap_or_default();
    let has = |key: Google| !value(key).is_empty();
    // The file that `gcloud auth application-default login` writes.
    let is_logged_in = || {
        let home = std::env::var_os("HOME").unwrap_or_default();
        Path::new(&home).join(".config/gcloud/application_default_credentials.json").is_file()
    };
    has(Google::ServiceAccount)
        || has(Google::ServiceAccountKey)
        || has(Google::ApplicationCredentials)
        || has(Google::BearerToken)
        || is_on(&value(Google::SkipSignature))
        || is_logged_in()
}

/// Returns `true` if credentials for Azure Blob Storage are set.
pub(crate) fn has_azure(builder: &MicrosoftAzureBuilder) -> bool {
    let value = |key: Azure| builder.get_config_value(&key).unwrap_or_default();
    let has = |key: Azure| !value(key).is_empty();
    let is_fabric = has(Azure::FabricTokenServiceUrl)
        && has(Azure::FabricWorkloadHost)
        && has(Azure::FabricSessionToken)
        && has(Azure::FabricClusterIdentifier);
    let is_application = has(Azure::ClientId)
        && has(Azure::AuthorityId)
        && (has(Azure::ClientSecret) || has(Azure::FederatedTokenFile));
    let kind = value(Azure::CredentialType);
    is_fabric
        || is_application
        || [Azure::AccessKey, Azure::SasKey, Azure::Token].into_iter().any(has)
        || [Azure::UseEmulator, Azure::SkipSignature, Azure::UseAzureCli].into_iter().any(|key| is_on(&value(key)))
        // A kind of credentials that is set explicitly is allowed, also the identity of the instance.
        || (!kind.is_empty() && kind != "auto")
}
