//! How the names of texts are declared.

/// The struct of some texts: groups of them that have files of their own, and their names.
macro_rules! texts {
    ($(#[$doc:meta])* $texts:ident { $($group:ident: $type:ty),* } $($name:ident,)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $texts {
            $(pub(crate) $group: $type,)*
            $(pub(crate) $name: Text,)*
        }

        #[cfg(test)]
        impl $texts {
            pub(in crate::adapters::http::pages::texts) fn all(&self) -> Vec<(&'static str, &'static str)> {
                let own = vec![$((stringify!($name), self.$name.0),)*];
                own.into_iter()$(.chain(self.$group.all()))*.collect()
            }
        }
    };
}

pub(super) use texts;
