//! The shape of an SPDX 2.3 JSON document, as far as we use it.

use serde::Serialize;

use crate::licence::NOASSERTION;

/// An SPDX document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Always `SPDXRef-DOCUMENT`.
    #[serde(rename = "SPDXID")]
    pub spdx_id: &'static str,
    /// Version of the specification.
    pub spdx_version: &'static str,
    /// Licence of the document itself; the specification allows no other than CC0-1.0.
    pub data_license: &'static str,
    /// Image, version and architecture.
    pub name: String,
    /// Unique for this content.
    pub document_namespace: String,
    /// Who made it and when.
    pub creation_info: CreationInfo,
    /// The image first, then every Debian package in it.
    pub packages: Vec<SpdxPackage>,
    /// Licences that SPDX has no identifier for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub has_extracted_licensing_infos: Vec<ExtractedLicence>,
    /// What contains what.
    pub relationships: Vec<Relationship>,
}

/// Who made a document and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationInfo {
    /// UTC, to the second.
    pub created: String,
    /// The tool.
    pub creators: Vec<String>,
}

/// The image or one package of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpdxPackage {
    /// Unique in the document.
    #[serde(rename = "SPDXID")]
    pub spdx_id: String,
    /// Name as Debian knows it.
    pub name: String,
    /// Debian version, or that of the image.
    pub version_info: String,
    /// What kind of thing it is, for the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_package_purpose: Option<&'static str>,
    /// Who distributes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplier: Option<&'static str>,
    /// Not claimed: any mirror that serves the checksum will do.
    pub download_location: &'static str,
    /// Files are listed in the manifest, not here.
    pub files_analyzed: bool,
    /// Source package and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_info: Option<String>,
    /// Checksum of the .deb.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    /// Not claimed: nobody reviewed it.
    pub license_concluded: &'static str,
    /// What the copyright file says.
    pub license_declared: String,
    /// Not claimed.
    pub copyright_text: &'static str,
    /// Package URL, for vulnerability scanners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_refs: Vec<ExternalRef>,
}

impl SpdxPackage {
    /// A package of which nothing more is known than its name, version and licence.
    pub(super) fn new(spdx_id: String, name: String, version_info: String, license_declared: String) -> Self {
        Self {
            spdx_id,
            name,
            version_info,
            primary_package_purpose: None,
            supplier: None,
            download_location: NOASSERTION,
            files_analyzed: false,
            source_info: None,
            checksums: Vec::new(),
            license_concluded: NOASSERTION,
            license_declared,
            copyright_text: NOASSERTION,
            external_refs: Vec::new(),
        }
    }
}

/// A digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checksum {
    /// Its algorithm.
    pub algorithm: &'static str,
    /// Its value in hex.
    pub checksum_value: String,
}

/// The package's name in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRef {
    /// Which family of systems.
    pub reference_category: &'static str,
    /// Which system.
    pub reference_type: &'static str,
    /// The name there.
    pub reference_locator: String,
}

/// A licence without an SPDX identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtractedLicence {
    /// `LicenseRef-` and a name.
    pub license_id: String,
    /// The name alone.
    pub name: String,
    /// Where its text is.
    pub extracted_text: String,
}

/// One thing's relation to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Relationship {
    /// The subject.
    pub spdx_element_id: String,
    /// The verb.
    pub relationship_type: &'static str,
    /// The object.
    pub related_spdx_element: String,
}

impl Relationship {
    pub(super) fn new(subject: &str, verb: &'static str, object: &str) -> Self {
        Self { spdx_element_id: subject.to_owned(), relationship_type: verb, related_spdx_element: object.to_owned() }
    }
}
