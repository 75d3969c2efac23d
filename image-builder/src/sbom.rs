//! The software bill of materials of an image: SPDX 2.3 as JSON, made from its manifest alone.
//!
//! Specification: <https://spdx.github.io/spdx-spec/v2.3/>. The document holds no time and no random number of its own,
//! so the same manifest gives the same bytes.

mod document;
mod purl;

use jiff::Timestamp;
use uuid::Uuid;

use crate::licence::{self, NOASSERTION};
use crate::manifest::{Manifest, ManifestError, Package, to_json};

pub use document::{Checksum, CreationInfo, Document, ExternalRef, ExtractedLicence, Relationship, SpdxPackage};

/// UUIDv5 name space of our documents, from which the content derives theirs. Changing it changes every SBOM.
const NAMESPACE: Uuid = Uuid::from_u128(0x1c0f_6d0e_52b7_4d7a_9a5b_0f4e_6a1d_33c2);

const DOCUMENT_ID: &str = "SPDXRef-DOCUMENT";
const IMAGE_ID: &str = "SPDXRef-Image";

/// The bill of materials of `manifest`, said to be made at `created` (a constant of the build, to the second).
///
/// # Errors
/// When the manifest breaks a rule of its format.
pub fn spdx(manifest: &Manifest, created: Timestamp) -> Result<Document, ManifestError> {
    let image = format!("{}-{}", manifest.image_id, manifest.variant);
    let packages = std::iter::once(image_package(manifest, &image)).chain(manifest.packages.iter().map(package)).collect();
    let contains = manifest.packages.iter().map(|package| Relationship::new(IMAGE_ID, "CONTAINS", &id_of(package)));
    Ok(Document {
        spdx_id: DOCUMENT_ID,
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        name: format!("{image}-{}-{}", manifest.version, manifest.arch),
        document_namespace: Uuid::new_v5(&NAMESPACE, &to_json(manifest)?).urn().to_string(),
        creation_info: CreationInfo { created: created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), creators: vec![creator()] },
        packages,
        has_extracted_licensing_infos: extracted(manifest),
        relationships: std::iter::once(Relationship::new(DOCUMENT_ID, "DESCRIBES", IMAGE_ID)).chain(contains).collect(),
    })
}

fn creator() -> String {
    format!("Tool: {}-{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

fn image_package(manifest: &Manifest, name: &str) -> SpdxPackage {
    SpdxPackage {
        source_info: Some(format!("Debian packages and file trees chosen by the recipe {}", manifest.variant)),
        primary_package_purpose: Some("OPERATING-SYSTEM"),
        ..SpdxPackage::new(IMAGE_ID.to_owned(), name.to_owned(), manifest.version.clone(), NOASSERTION.to_owned())
    }
}

fn package(package: &Package) -> SpdxPackage {
    SpdxPackage {
        supplier: Some("Organization: Debian"),
        source_info: Some(format!("built from source package {} {}", package.source, package.source_version)),
        checksums: vec![Checksum { algorithm: "SHA256", checksum_value: package.sha256.clone() }],
        external_refs: vec![ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl::of(package),
        }],
        ..SpdxPackage::new(id_of(package), package.name.clone(), package.version.clone(), package.licence.clone())
    }
}

/// SPDX identifiers know only letters, digits, dots and dashes; Debian's names also have `+`.
fn id_of(package: &Package) -> String {
    format!("SPDXRef-Package-{}", package.name.replace('+', ".2b"))
}

/// SPDX wants the text behind every reference; ours is in the package, and the record says where.
fn extracted(manifest: &Manifest) -> Vec<ExtractedLicence> {
    let mut users = std::collections::BTreeMap::new();
    for package in &manifest.packages {
        for name in licence::refs(&package.licence) {
            users.entry(name).or_insert_with(Vec::new).push(package.name.as_str());
        }
    }
    let record = |(name, packages): (&str, Vec<&str>)| ExtractedLicence {
        license_id: name.to_owned(),
        name: name.trim_start_matches(licence::REF_PREFIX).to_owned(),
        extracted_text: format!("The text is in the copyright file of the Debian packages: {}", packages.join(", ")),
    };
    users.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::fixture;

    fn document() -> Document {
        spdx(&fixture::manifest(), Timestamp::from_second(1_750_000_000).unwrap()).unwrap()
    }

    #[test]
    fn reads_as_expected() {
        let mut document = document();
        document.packages.truncate(2);
        document.relationships.truncate(2);
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }

    #[test]
    fn has_every_field_that_spdx_requires() {
        let json = serde_json::to_value(document()).unwrap();
        for field in ["SPDXID", "spdxVersion", "dataLicense", "name", "documentNamespace", "creationInfo"] {
            assert!(!json[field].is_null(), "{field}");
        }
        for package in json["packages"].as_array().unwrap() {
            for field in ["SPDXID", "name", "versionInfo", "downloadLocation", "licenseDeclared", "licenseConcluded", "copyrightText"] {
                assert!(package[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {package}");
            }
            assert_eq!(package["filesAnalyzed"], false);
        }
    }

    #[test]
    fn identifiers_are_unique_legal_and_known_to_every_relationship() {
        let document = document();
        let ids: std::collections::BTreeSet<&str> = document.packages.iter().map(|package| package.spdx_id.as_str()).collect();
        assert_eq!(ids.len(), document.packages.len());
        assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))), "{ids:?}");
        assert_eq!(document.relationships.len(), document.packages.len());
        for relation in &document.relationships {
            assert!(relation.spdx_element_id == DOCUMENT_ID || ids.contains(relation.spdx_element_id.as_str()));
            assert!(ids.contains(relation.related_spdx_element.as_str()));
        }
    }

    #[test]
    fn every_licence_reference_has_its_record() {
        let document = document();
        let recorded: Vec<&str> = document.has_extracted_licensing_infos.iter().map(|licence| licence.license_id.as_str()).collect();
        assert_eq!(recorded, ["LicenseRef-GPL-3-with-exception"]);
        assert!(document.has_extracted_licensing_infos[0].extracted_text.ends_with("libstdc++6"));
    }

    #[test]
    fn the_namespace_follows_the_content_and_nothing_else() {
        let (now, later) = (Timestamp::from_second(0).unwrap(), Timestamp::from_second(1).unwrap());
        let mut changed = fixture::manifest();
        let namespace = |manifest: &Manifest, created| spdx(manifest, created).unwrap().document_namespace;
        assert_eq!(namespace(&changed, now), namespace(&changed, later));
        assert!(namespace(&changed, now).starts_with("urn:uuid:"));
        let before = namespace(&changed, now);
        fixture::file(&mut changed, "/etc/hostname").mode = 0o600;
        assert_ne!(before, namespace(&changed, now));
    }

    #[test]
    fn time_is_written_to_the_second_in_utc() {
        let created = |time: &str| spdx(&fixture::manifest(), time.parse().unwrap()).unwrap().creation_info.created;
        assert_eq!(created("2025-06-15T15:06:40Z"), "2025-06-15T15:06:40Z");
        assert_eq!(created("2025-06-15T17:06:40.999+02:00"), "2025-06-15T15:06:40Z");
    }

    #[test]
    fn refuses_a_manifest_that_breaks_its_rules() {
        let mut manifest = fixture::manifest();
        manifest.packages.swap(0, 1);
        assert!(spdx(&manifest, Timestamp::UNIX_EPOCH).is_err());
    }
}
