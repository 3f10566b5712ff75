//! What tests read in a page.

/// A page, as a browser got it.
pub struct Page(pub String);

impl Page {
    /// The value of a hidden field of a form.
    #[track_caller]
    pub fn hidden(&self, name: &str) -> String {
        let (_, rest) = self.0.split_once(&format!(r#"name="{name}" value=""#)).expect("the page has such a field");
        unescape(rest.split('"').next().unwrap())
    }

    /// The value of the first attribute of that name.
    #[track_caller]
    pub fn attribute(&self, name: &str) -> String {
        let (_, rest) = self.0.split_once(&format!(r#" {name}=""#)).expect("the page has such an attribute");
        unescape(rest.split('"').next().unwrap())
    }

    /// The values of the ticked boxes of that name.
    pub fn ticked(&self, name: &str) -> Vec<String> {
        let boxes = self.0.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
        let ticked = boxes.filter(|input| input.contains(r#"type="checkbox""#) && input.ends_with(" checked"));
        let named = ticked.filter(|input| input.contains(&format!(r#"name="{name}""#)));
        let value = |input: &str| input.split_once(r#"value=""#).unwrap().1.split('"').next().unwrap().to_owned();
        named.map(value).collect()
    }

    /// Whether the page says this, as a person reads it.
    pub fn says(&self, text: &str) -> bool {
        let whole: Vec<&str> = text.split_whitespace().collect();
        self.text().contains(&whole.join(" "))
    }

    /// The text without markup.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, tag)) = rest.split_once('<') {
            text.push_str(before);
            rest = tag.split_once('>').map_or("", |(_, after)| after);
        }
        text.push_str(rest);
        unescape(&text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What every page must have, and what none may.
    #[track_caller]
    pub fn assert_sound(&self) {
        let page = &self.0;
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\""), "{page}");
        assert!(!page.contains("{0}") && !page.contains("{1}"), "nothing is filled in: {page}");
        for (once, times) in [("<h1", 1), ("<main", 1), ("<header", 1), ("<footer", 1), ("<title>", 1), ("viewport", 1)]
        {
            assert_eq!(page.matches(once).count(), times, "{once}: {page}");
        }
        assert!(page.contains(r#"<a class="brand" href="/">"#), "no page is a dead end: {page}");
        for never in ["<style", " style=", "javascript:", "<iframe", " onclick", " onerror", " onload", "http://"] {
            assert!(!page.replace(r#"xmlns="http://www.w3.org/2000/svg""#, "").contains(never), "{never}: {page}");
        }
        // Where a passkey is asked for there is the script that does so, and nowhere else any.
        let scripts = usize::from(page.contains(" data-passkey="));
        assert_eq!(page.matches("<script").count(), scripts, "{page}");
        assert_eq!(page.matches(r#"<script src="/assets/passkeys-"#).count(), scripts, "{page}");
        for input in page.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let id = input.split(r#"id=""#).nth(1).map(|rest| rest.split('"').next().unwrap());
            let labelled = id.is_some_and(|id| page.contains(&format!(r#"<label for="{id}">"#)));
            assert!(input.contains(r#"type="hidden""#) || labelled, "{input}");
        }
    }
}

fn unescape(text: &str) -> String {
    let pairs = [("&#38;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
