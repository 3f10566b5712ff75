//! Everything that the pages say, in one file per language. A text that a language lacks does not compile.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod language;
mod pt;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use askama::filters::{Html, HtmlSafe, escape};
use poem::Request;
use poem::http::Method;

pub(crate) use self::language::Language;

use super::cookies::Cookies;
use super::words::{Day, Moment};

/// The language of a page, its texts, and where the page is.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The language.
    pub(crate) language: Language,
    /// Where a browser goes on when the person has chosen another language.
    pub(crate) here: String,
}

impl Frame {
    /// The frame of the answer to `request`.
    pub(crate) fn of(request: &Request, cookies: Cookies) -> Self {
        let here = match (request.method(), request.uri().path_and_query()) {
            (&Method::GET, Some(address)) => address.as_str(),
            _ => request.uri().path(),
        };
        Self { language: Language::of(request, cookies), here: here.to_owned() }
    }

    /// A number as it is written.
    pub(crate) fn number(&self, number: impl Borrow<u64>) -> String {
        self.language.number(*number.borrow())
    }
}

impl Deref for Frame {
    type Target = Texts;

    fn deref(&self) -> &Texts {
        self.language.texts()
    }
}

/// A text, in which `{0}` and `{1}` stand for what is filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text(pub(super) &'static str);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A text with the markup of what was filled in, in the order of the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    text: &'static str,
    parts: Vec<String>,
}

impl From<Text> for Filled {
    fn from(text: Text) -> Self {
        text.empty()
    }
}

impl Text {
    fn empty(self) -> Filled {
        Filled { text: self.0, parts: Vec::new() }
    }

    /// Fills in a name that stands out.
    pub(crate) fn strong(self, name: impl fmt::Display) -> Filled {
        self.empty().strong(name)
    }

    /// Fills in a name, whose direction is its own.
    pub(crate) fn name(self, name: impl fmt::Display) -> Filled {
        self.empty().name(name)
    }

    /// Fills in a text or a number.
    pub(crate) fn plain(self, text: impl fmt::Display) -> Filled {
        self.empty().plain(text)
    }

    /// Fills in a day.
    pub(crate) fn day(self, day: &Day) -> Filled {
        self.empty().day(day)
    }

    /// Fills in a moment.
    pub(crate) fn moment(self, moment: &Moment) -> Filled {
        self.empty().moment(moment)
    }

    /// Fills in a link.
    pub(crate) fn link(self, address: &str, text: impl fmt::Display) -> Filled {
        self.empty().link(address, text)
    }

    /// Fills in a name for a title, where there is no markup: it is isolated by characters.
    pub(crate) fn isolated(self, name: &str) -> Filled {
        self.empty().plain(format!("\u{2068}{name}\u{2069}"))
    }

    /// Fills in a text, and is a text itself.
    pub(crate) fn in_text(self, text: &str) -> String {
        self.0.replace("{0}", text)
    }

    /// Fills in texts where there is no markup.
    pub(crate) fn filled<const N: usize>(self, parts: [&str; N]) -> String {
        let fill = |text: String, (number, part): (usize, &str)| text.replace(&format!("{{{number}}}"), part);
        parts.into_iter().enumerate().fold(self.0.to_owned(), fill)
    }

    /// Fills in an identifier.
    pub(crate) fn code(self, text: impl fmt::Display) -> Filled {
        let part = format!("<span class=\"mono\">{}</span>", escaped(text));
        self.empty().with(part)
    }
}

impl Filled {
    fn with(mut self, part: String) -> Self {
        self.parts.push(part);
        self
    }

    /// See [`Text::strong`].
    pub(crate) fn strong(self, name: impl fmt::Display) -> Self {
        self.with(format!("<strong><bdi>{}</bdi></strong>", escaped(name)))
    }

    /// See [`Text::name`].
    pub(crate) fn name(self, name: impl fmt::Display) -> Self {
        self.with(format!("<bdi>{}</bdi>", escaped(name)))
    }

    /// See [`Text::plain`].
    pub(crate) fn plain(self, text: impl fmt::Display) -> Self {
        self.with(escaped(text))
    }

    /// See [`Text::day`].
    pub(crate) fn day(self, day: &Day) -> Self {
        self.with(format!("<time datetime=\"{}\">{}</time>", escaped(&day.machine), escaped(&day.words)))
    }

    /// See [`Text::moment`].
    pub(crate) fn moment(self, moment: &Moment) -> Self {
        self.with(format!("<time datetime=\"{}\">{}</time>", escaped(&moment.machine), escaped(&moment.words)))
    }

    /// See [`Text::link`].
    pub(crate) fn link(self, address: &str, text: impl fmt::Display) -> Self {
        self.with(format!("<a href=\"{}\">{}</a>", escaped(address), escaped(text)))
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text;
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(&escaped(before))?;
            let Some((number, after)) = after.split_once('}') else { break };
            let part = number.parse::<usize>().ok().and_then(|number| self.parts.get(number));
            debug_assert!(part.is_some(), "nothing is filled in for {{{number}}} of: {}", self.text);
            f.write_str(part.map_or("", String::as_str))?;
            rest = after;
        }
        f.write_str(&escaped(rest))
    }
}

/// Its text is escaped, and so is what was filled in.
impl HtmlSafe for Filled {}

fn escaped(text: impl fmt::Display) -> String {
    escape(text, Html).map_or_else(|never| match never {}, |escaped| escaped.to_string())
}

macro_rules! texts {
    ($($(#[$group:meta])* $name:ident,)*) => {
        /// All texts of a language.
        #[derive(Debug)]
        pub(crate) struct Texts {
            $(pub(crate) $name: Text,)*
        }

        #[cfg(test)]
        impl Texts {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name.0),)*]
            }
        }
    };
}

texts! {
    // Frame
    language_label,
    change_language,
    privacy,
    problem_title,
    account_nav,
    account,
    memories,
    applications,
    security,
    export,
    import,
    sign_out,
    sign_in,
    // Home
    home_title,
    home_heading,
    home_lead,
    signed_in_as,
    go_to_account,
    home_builders,
    api_documentation,
    openapi_document,
    // Account
    your_account,
    memories_tile,
    applications_tile,
    security_tile,
    export_tile,
    import_tile,
    in_numbers,
    numbers,
    by_application,
    by_category,
    without_category,
    count_memories,
    // Connections
    connected_applications,
    connections_lead,
    disconnected,
    nothing_connected,
    nothing_connected_text,
    described_by,
    what_it_may_do,
    since_until,
    disconnect,
    disconnecting_keeps,
    application_gone,
    registered_itself,
    read_title,
    read_detail,
    write_title,
    write_detail,
    delete_title,
    delete_detail,
    // Consent
    consent_title,
    consent_heading,
    consent_sends_to,
    consent_calls_itself,
    consent_any_program,
    consent_would,
    consent_untick,
    consent_who,
    consent_not_you,
    deny,
    allow,
    consent_afterwards,
    connected_applications_link,
    program_on_device,
    app_on_device,
    // Going on, links that are used up
    going_on,
    continuing_to,
    if_nothing_happens,
    continue_on,
    dead_link_title,
    dead_link_heading,
    dead_link_lead,
    dead_link_text,
    // Errors
    start_again,
    request_id,
    untrusted_title,
    untrusted_text,
    out_of_date_title,
    out_of_date_text,
    foreign_origin_title,
    foreign_origin_text,
    no_cookie_title,
    no_cookie_text,
    too_long_title,
    too_long_text,
    not_found_title,
    not_found_text,
    invalid_form_title,
    invalid_form_text,
    internal_title,
    internal_text,
    unavailable_title,
    unavailable_text,
    not_direct_title,
    not_direct_text,
    untrusted_malformed,
    untrusted_no_client,
    untrusted_unknown_client,
    untrusted_document,
    untrusted_too_many,
    untrusted_no_redirect,
    untrusted_redirect,
    // Export
    export_lead,
    export_everything,
    export_everything_text,
    export_everything_button,
    export_memories_text,
    export_memories_button,
    export_account_text,
    export_account_button,
    export_import,
    // Memories
    your_memories,
    memories_lead,
    search,
    application,
    all,
    category,
    from,
    to,
    show_all,
    nothing_found,
    nothing_found_text,
    nothing_stored,
    nothing_stored_text,
    select_memory,
    categories,
    read_and_correct,
    open_and_correct,
    this_memory_of,
    delete_selected,
    older_memories,
    delete_all_memories,
    download_memories,
    a_memory,
    stored_by,
    changed_on,
    happened_on,
    saved,
    what_is_remembered,
    categories_field,
    save,
    deleted_by_itself,
    from_conversation,
    what_happened_to_it,
    changed_by,
    changed_by_you,
    replaced_by,
    replaced_by_you,
    somebody,
    member_content,
    member_categories,
    member_metadata,
    member_priority,
    member_occurred,
    member_expires,
    forget_history,
    history_forgotten,
    delete_this_memory,
    back_to_memories,
    deleted,
    deleted_one,
    deleted_many,
    deleted_lead,
    deleted_before,
    not_all_deleted,
    undo,
    undo_text,
    nothing_selected,
    too_late_to_undo,
    undone,
    delete_for_good_title,
    delete_for_good_heading,
    delete_for_good_lead,
    delete_for_good,
    keep_them,
    delete_all_heading,
    delete_all_lead,
    delete_all_tick,
    delete_all,
    delete_all_hint,
    all_deleted,
    tick_to_confirm,
    memory_gone,
    memory_refused,
    cannot_list,
    cannot_do,
    invalid_content,
    invalid_categories,
    invalid_search,
    invalid_dates,
    invalid_address,
    // Security
    security_lead,
    change_password_heading,
    current_password,
    new_password,
    new_password_again,
    change_password,
    change_password_hint,
    provider_account,
    sessions,
    session_since,
    this_browser,
    session_until,
    end_session,
    the_session_of,
    sign_out_everywhere,
    what_happened,
    nothing_yet,
    delete_account_heading,
    delete_account_text,
    your_password,
    delete_account_tick,
    delete_account,
    session_over,
    current_password_wrong,
    new_passwords_differ,
    event_created,
    event_enabled,
    event_disabled,
    event_password,
    event_link,
    event_signed_in,
    event_throttled,
    event_granted,
    event_ended,
    event_reused,
    // Choosing a password
    choose_password,
    welcome,
    welcome_lead,
    choose_new_password,
    choose_new_lead,
    your_login,
    password_at_least,
    password_again,
    set_password,
    link_works_once,
    invitation_subject,
    invitation_email,
    reset_subject,
    reset_email,
    open_too_long,
    passwords_differ,
    password_too_short,
    password_invalid,
    // Signing in
    sign_in_for,
    sign_in_lead,
    continue_with,
    or_with_password,
    login,
    password,
    no_account,
    signed_out,
    wrong_credentials,
    wait_a_second,
    wait_seconds,
    wait_minutes,
    foreign_sign_in,
    declined,
    not_admitted,
    provider_silent,
    provider_rejected,
    // Import
    import_lead,
    import_connect_first,
    import_connect_text,
    import_space,
    import_file,
    import_look,
    import_promise,
    import_formats,
    format_memgate,
    format_chatgpt,
    format_claude,
    format_mem0,
    format_server_memory,
    format_basic_memory,
    import_under_way,
    being_stored,
    stored_so_far,
    being_read,
    nothing_stored_so_far,
    looks_again,
    look_again,
    check_import,
    read_as,
    read_as_nothing,
    nothing_to_import,
    nothing_to_import_text,
    goes_to,
    memories_in_file,
    messages_in_file,
    messages_none,
    messages_all,
    messages_chosen,
    choose_conversations,
    untitled,
    further_conversations,
    import_now,
    discard,
    in_the_file,
    new_in_file,
    duplicates,
    duplicates_of_first,
    expired,
    unknown_duplicates,
    unreadable,
    other_files,
    the_first_of_it,
    left_out_and_why,
    first_reasons,
    choose_another_file,
    import_done_title,
    import_stopped_title,
    import_done,
    import_stopped,
    import_result,
    import_stopped_text,
    what_became_of_it,
    stored,
    not_chosen,
    left_out,
    see_memories,
    import_more,
    import_damaged,
    import_unpacks,
    import_too_much,
    import_busy,
    import_internal,
    import_choose_space,
    import_already,
    import_interrupted,
    import_empty,
    import_too_large,
    nothing_chosen,
}

impl Texts {
    /// A number of something, from 1.
    pub(crate) fn deleted_memories(&self, number: impl Borrow<usize>) -> Filled {
        match *number.borrow() {
            1 => self.deleted_one.into(),
            number => self.deleted_many.plain(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The numbers of the placeholders of a text.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
    }

    #[test]
    fn every_text_is_there_in_every_language_with_the_same_placeholders() {
        let english = Language::English.texts().all();
        for language in Language::ALL {
            let texts = language.texts().all();
            for ((name, english), (_, text)) in english.iter().zip(&texts) {
                assert_eq!(placeholders(text), placeholders(english), "{name} in {}", language.tag());
                assert!(!text.trim().is_empty() && text.trim() == *text, "{name} in {}", language.tag());
                let ends = |text: &str| text.ends_with(['.', '。', '?', '？', '!']);
                assert_eq!(ends(text), ends(english), "{name} in {}: {text}", language.tag());
            }
        }
    }

    #[test]
    fn no_language_repeats_another_but_for_names() {
        let english = Language::English.texts().all();
        for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
            let texts = language.texts().all();
            let same = english.iter().zip(&texts).filter(|(english, text)| english.1 == text.1 && english.1.len() > 15);
            assert_eq!(same.count(), 0, "{}", language.tag());
        }
    }

    #[test]
    fn what_is_filled_in_is_text_and_never_markup_or_a_placeholder() {
        let filled = Text("<a> {1} & {0}").strong("<b>{1}</b>").plain("{0}").to_string();
        assert_eq!(filled, "&#60;a&#62; {0} &#38; <strong><bdi>&#60;b&#62;{1}&#60;/b&#62;</bdi></strong>");
    }
}
