//! Bodies that are JSON objects.

/// Implements `Deserialize` for structs that derive it with `#[serde(remote = "Self")]`, from JSON objects only. The derived
/// implementation would also accept an array of the members' values.
macro_rules! read_from_objects {
    ($($name:ident),+ $(,)?) => { $(
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;
                impl<'de> ::serde::de::Visitor<'de> for Members {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: ::serde::de::MapAccess<'de>>(self, members: A) -> Result<$name, A::Error> {
                        // The inherent function, which serde derives.
                        $name::deserialize(::serde::de::value::MapAccessDeserializer::new(members))
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    )+ };
}

pub(in super::super) use read_from_objects;
