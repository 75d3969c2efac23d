//! Which product a release is for.

use uuid::{Uuid, uuid};

/// Namespace of the application ids; changing it would make every machine in the field refuse every release.
const NAMESPACE: Uuid = uuid!("0d3a5c1e-64f2-5b8e-8f63-2a7b0c9d4e51");

/// The Omaha application id of the image `image_id` in its flavour `variant`: a UUIDv5 in braces, lower case.
///
/// On a host these are `IMAGE_ID` and `VARIANT_ID` of os-release, at build time the id and variant of the recipe.
#[must_use]
pub fn app_id(image_id: &str, variant: &str) -> String {
    // NUL cannot occur in either, so no two pairs share a name.
    Uuid::new_v5(&NAMESPACE, format!("{image_id}\0{variant}").as_bytes()).braced().to_string()
}

/// True for text in exactly the form that [`app_id`] makes.
pub(crate) fn is_app_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.braced().to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_id_never_changes() {
        let id = app_id("slipway", "vm");
        assert_eq!(id, app_id("slipway", "vm"));
        assert!(is_app_id(&id), "{id}");
        assert_eq!(id.len(), 38);
    }

    #[test]
    fn another_image_or_variant_has_another_id() {
        let ids = [
            app_id("slipway", "vm"),
            app_id("slipway", "metal"),
            app_id("slipwayvm", ""),
            app_id("", "slipwayvm"),
            app_id("a", "bc"),
            app_id("ab", "c"),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id), "{id} twice");
        }
    }

    #[test]
    fn only_the_one_spelling_is_an_app_id() {
        let good = "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}";
        assert!(is_app_id(good));
        for wrong in
            ["", "{}", &good[1..37], &good.to_uppercase(), &good.replace('-', ""), &format!(" {good}"), &good.replace('{', "urn:uuid:")]
        {
            assert!(!is_app_id(wrong), "{wrong}");
        }
    }
}
