//! Shapes on the wire that no Rust type has by itself.

use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};

/// A list as `answer_page` gives it: bare, or `{items, next}` where the client walks by `after`. `fields` may leave
/// anything out of an item, so that no field is sure to be there.
pub(crate) fn listed<T: PartialSchema>() -> RefOr<Schema> {
    let mut item = T::schema();
    if let RefOr::T(Schema::Object(object)) = &mut item {
        object.required.clear();
    }
    let items = || ArrayBuilder::new().items(item.clone()).build();
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("The next page's `after`; null at the end."));
    let page = ObjectBuilder::new().property("items", items()).property("next", next);
    let page = page.required("items").required("next");
    OneOfBuilder::new().item(items()).item(page).into()
}

/// The names of a view's fields.
pub(crate) fn field_names<T: PartialSchema>() -> Vec<String> {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Texts in a list, or one text with commas or semicolons between.
pub(crate) fn one_or_many() -> Schema {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let entry = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let nothing = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(text).item(ArrayBuilder::new().items(entry)).item(nothing).build().into()
}

#[cfg(test)]
mod tests {
    use soniquebay_wire::TrackView;

    use super::field_names;

    #[test]
    fn a_view_has_fields() {
        let names = field_names::<TrackView>();
        assert!(
            ["id", "title", "content_hash", "extra"].iter().all(|name| names.iter().any(|n| n == name)),
            "{names:?}"
        );
    }
}
