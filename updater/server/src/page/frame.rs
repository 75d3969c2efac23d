//! What surrounds every page.

use super::assets::{ICON, SCRIPT, STYLE};
use super::guard::Visitor;
use super::text::tame;

/// Which entry of the navigation is the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// The overview.
    Overview,
    /// Rollouts, and one of them.
    Rollouts,
    /// Machines, and one of them.
    Machines,
    /// The audit log.
    History,
    /// None of them.
    Nowhere,
}

/// The frame of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// In the tab, and the heading where the page has no better one.
    pub title: String,
    /// Where the reader is.
    pub here: Here,
    /// Who is signed in.
    pub who: Option<Signed>,
    /// Whether the script keeps the page fresh.
    pub live: bool,
    /// The style sheet.
    pub style: &'static str,
    /// The script.
    pub script: &'static str,
    /// The icon.
    pub icon: &'static str,
}

/// Who is signed in, as the page shows it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The token's name.
    pub name: String,
    /// Its role.
    pub role: &'static str,
    /// What this session's forms carry.
    pub form_token: String,
    /// Whether there are buttons.
    pub steers: bool,
}

impl Frame {
    /// The frame of a page that `visitor` sees.
    #[must_use]
    pub fn new(title: &str, here: Here, visitor: &Visitor) -> Self {
        let who = Signed {
            name: tame(&visitor.name),
            role: visitor.role.name(),
            form_token: visitor.secret.form_token(),
            steers: visitor.steers(),
        };
        Self { who: Some(who), live: true, ..Self::bare(title, here) }
    }

    /// The frame of a page that anybody may see.
    #[must_use]
    pub fn bare(title: &str, here: Here) -> Self {
        Self { title: tame(title), here, who: None, live: false, style: &STYLE.path, script: &SCRIPT.path, icon: &ICON.path }
    }

    /// For the navigation: marks the present page for eyes and screen readers alike.
    #[must_use]
    pub fn current(&self, here: Here) -> bool {
        self.here == here
    }

    /// Whether there are buttons.
    #[must_use]
    pub fn steers(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.steers)
    }

    /// What this session's forms carry.
    #[must_use]
    pub fn form_token(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.form_token)
    }
}
