//! What may point into the image of the code that made it cannot be state: by type. Twin: pass/state_types.rs

use std::collections::HashMap;
use std::rc::Rc;

use hotswap_module::{State, export, state};

type Callback = fn(u64) -> u64;

#[state(version = 1)]
pub struct Words {
    pub words: HashMap<String, u64>,
}

#[state(version = 1)]
pub struct Counted {
    // Whatever serde is told.
    #[serde(with = "as_text")]
    pub text: Rc<String>,
}

mod as_text {
    use std::rc::Rc;

    use hotswap_module::serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(text: &Rc<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.as_str().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Rc<String>, D::Error> {
        String::deserialize(reader).map(Rc::new)
    }
}

#[state(version = 1)]
pub struct Hidden {
    #[serde(with = "as_nothing")]
    pub call: Callback,
}

mod as_nothing {
    use hotswap_module::serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(_: &super::Callback, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(_: D) -> Result<super::Callback, D::Error> {
        Ok(|number| number)
    }
}

#[state(part)]
pub struct Part {
    pub calls: u64,
}

#[export]
pub fn no_state_type(part: State<Part>) {
    let _ = part;
}

fn main() {}
