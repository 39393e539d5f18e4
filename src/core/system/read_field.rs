//! Fields of a collection, nested ones too.

use super::dataset::Field;
use super::read_dataset::Reader;
use super::references::{self, FidesReference};
use crate::document::{Fields, Node, choose};

impl Reader<'_, '_> {
    pub(super) fn fields<'a>(
        &mut self,
        list: &'a [Node],
        prefix: &str,
        fides: &mut Vec<FidesReference<'a>>,
    ) -> Vec<Field> {
        let mut out = Vec::new();
        let mut nodes = Vec::new();
        for node in self.bounded(list, "fields") {
            let Some(field) = self.field(node, prefix, fides) else { continue };
            nodes.push((field.name.clone(), node));
            out.push(field);
        }
        self.unique(nodes.iter().map(|(name, node)| (name.as_str(), *node)), "field");
        out
    }

    fn field<'a>(
        &mut self,
        node: &'a Node,
        prefix: &str,
        fides: &mut Vec<FidesReference<'a>>,
    ) -> Option<Field> {
        let mut fields = Fields::of(node, "a field", self.found)?;
        let name = fields.need_text("name", self.found);
        let path = format!("{prefix}{}", name.as_deref().unwrap_or_default());
        let mut field = Field { categories: self.categories(&mut fields), ..Field::default() };
        fields.ignore(&[
            "description",
            "data_qualifier",
            "data_uses",
            "data_purposes",
            "data_subjects",
            "retention",
            "meta",
            "tags",
        ]);
        if let Some(mut meta) = self.meta(&mut fields) {
            field.primary_key = meta.bool("primary_key", self.found).unwrap_or_default();
            field.identity = meta.take("identity").and_then(|n| super::identity_type(n, self.found));
            field.data_type = meta.text("data_type", self.found);
            field.length =
                meta.int_in("length", 1, i64::from(u32::MAX), self.found).and_then(|l| l.try_into().ok());
            let list = meta.list("references", self.found);
            fides.extend(list.iter().filter_map(|n| references::fides(n, &path, self.found)));
            meta.ignore(&[
                "return_all_elements",
                "read_only",
                "custom_request_field",
                "masking_strategy_override",
                "redact",
            ]);
            meta.finish_foreign(self.found);
        }
        let own = fields.fields("quietus", "`quietus` of a field", self.found);
        let nested = fields.list("fields", self.found);
        fields.finish_foreign(self.found);
        field.fields = self.fields(nested, &format!("{path}."), fides);
        if let Some(mut own) = own {
            field.mask = own.take("mask").and_then(|n| self.mask(n, field.length));
            field.waived = own.text("waived", self.found);
            own.finish(self.found);
        }
        self.data_type(node, &field);
        field.name = name?;
        Some(field)
    }

    /// The empty text is a replacement too.
    fn mask(&mut self, node: &Node, length: Option<u32>) -> Option<String> {
        let Some(text) = node.text() else {
            self.found.error(
                node,
                format!("`mask` must be one value, this is {}", node.kind()),
                "write a text or a number",
            );
            return None;
        };
        let longest = length.unwrap_or(u32::MAX) as usize;
        if text.chars().count() > longest {
            let detail = format!("the mask is longer than the field takes ({longest})");
            self.found.error(node, detail, "write a shorter one");
        }
        Some(text.to_owned())
    }

    fn data_type(&mut self, node: &Node, field: &Field) {
        let Some(written) = &field.data_type else { return };
        let known = ["string", "integer", "float", "boolean", "object_id", "object"];
        let base = written.strip_suffix("[]").unwrap_or(written);
        if !known.contains(&base) {
            let at = ["fides_meta", "fidesops_meta"].iter().find_map(|k| node.get(k)?.get("data_type"));
            let detail = format!("Fides knows no data_type `{written}`");
            self.found.error(at.unwrap_or(node), detail, choose(base, known.into_iter()));
        }
    }
}

/// A field without categories of its own takes those of its collection or dataset; what finds rows or ties them
/// together does not, or masking a part would break the record.
pub(super) fn inherit(fields: &mut [Field], prefix: &str, categories: &[String], bare: &[String]) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        let own = !field.categories.is_empty() || field.waived.is_some() || bare.contains(&path);
        if field.fields.is_empty() {
            if !own {
                field.categories = categories.to_vec();
            }
        } else {
            let passed =
                if field.categories.is_empty() { categories.to_vec() } else { field.categories.clone() };
            inherit(&mut field.fields, &format!("{path}."), &passed, bare);
        }
    }
}
