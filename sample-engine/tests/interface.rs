//! The sample's functions are those of its interface, as `.require::<dyn Sample>()` asks.

use hotswap_module::__private::Kind;
use hotswap_module::Interface;
use sample_interface::Sample;

#[test]
fn the_interface_is_complete() {
    let linked = sample_engine::exports();
    for requirement in <dyn Sample as Interface>::FUNCTIONS {
        let export = linked
            .exports()
            .iter()
            .find(|export| {
                export.record.kind == Kind::Export && export.record.name == requirement.name
            })
            .unwrap_or_else(|| panic!("{} is not exported", requirement.name));
        assert_eq!(export.record.signature, requirement.signature.text(), "{}", requirement.name);
        assert_eq!(export.record.hash, requirement.signature.hash(), "{}", requirement.name);
    }
    assert_eq!(<dyn Sample as Interface>::NAME, "Sample");
}
