//! `#[derive(Trace)]`, see [`Trace`](derive@Trace).

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Generics, Path, Result, parse_macro_input,
    parse_quote,
};

/// Implements `wrasse::Trace` by reporting every field.
///
/// On a field:
/// * `#[trace(skip)]`: the field is not looked into and need not implement
///   `Trace`. If it owns a `Gc`, that keeps its object alive.
///
/// On the type:
/// * `#[trace(finalize)]`: objects are finalized with the type's `Finalize`;
/// * `#[trace(crate = path)]`: where to find `wrasse`, if under another name.
///
/// The type must not implement `Drop`.
#[proc_macro_derive(Trace, attributes(trace))]
pub fn derive_trace(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// What `#[trace(...)]` on the type says.
struct Options {
    finalize: bool,
    krate: Path,
}

impl Options {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self {
            finalize: false,
            krate: parse_quote!(::wrasse),
        };
        for attribute in attributes.iter().filter(|a| a.path().is_ident("trace")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("finalize") {
                    options.finalize = true;
                    Ok(())
                } else if meta.path.is_ident("crate") {
                    options.krate = meta.value()?.parse()?;
                    Ok(())
                } else if meta.path.is_ident("skip") {
                    Err(meta.error("`skip` is for fields"))
                } else {
                    Err(meta.error("expected `finalize` or `crate = path`"))
                }
            })?;
        }
        Ok(options)
    }
}

fn is_skipped(field: &Field) -> Result<bool> {
    let mut skip = false;
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("trace")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skip = true;
                Ok(())
            } else {
                Err(meta.error("expected `skip`"))
            }
        })?;
    }
    Ok(skip)
}

fn expand(input: DeriveInput) -> Result<Tokens> {
    let options = Options::parse(&input.attrs)?;
    let krate = &options.krate;
    let mut fields = Vec::new();
    let (mut arms, mut named, mut types) = (Vec::new(), Vec::new(), Vec::new());
    match &input.data {
        Data::Struct(data) => fields.push((quote!(Self), &data.fields)),
        Data::Enum(data) => {
            for variant in &data.variants {
                if let Some(attribute) = variant.attrs.iter().find(|a| a.path().is_ident("trace")) {
                    return Err(Error::new_spanned(
                        attribute,
                        "`trace` is for fields, not for variants",
                    ));
                }
                let name = &variant.ident;
                fields.push((quote!(Self::#name), &variant.fields));
            }
        }
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span,
                "`Trace` cannot be derived for a union: which field is there is not known",
            ));
        }
    }
    for (path, fields) in fields {
        let (traced, visited) = arm(krate, &path, fields, &mut types)?;
        arms.push(traced);
        named.push(visited);
    }

    let name = &input.ident;
    let generics = with_bounds(input.generics.clone(), krate);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let finalizer = options.finalize.then(|| {
        quote! {
            #[inline]
            fn finalizer() -> ::core::option::Option<fn(&Self)> {
                ::core::option::Option::Some(<Self as #krate::Finalize>::finalize)
            }
        }
    });
    let matching = |arms: &[Tokens]| {
        if arms.is_empty() {
            quote!(match *self {})
        } else {
            quote!(match self { #(#arms)* })
        }
    };
    let (body, names) = (matching(&arms), matching(&named));
    Ok(quote! {
        const _: () = {
            // A type with `Drop` implements this trait twice, which is the error
            // that the author of such a type gets to see.
            #[doc(hidden)]
            trait TypesThatDeriveTraceMustNotImplementDrop {}
            #[allow(drop_bounds)]
            impl<T: ::core::ops::Drop + ?::core::marker::Sized>
                TypesThatDeriveTraceMustNotImplementDrop for T {}
            #[automatically_derived]
            impl #impl_generics TypesThatDeriveTraceMustNotImplementDrop
                for #name #type_generics #where_clause {}

            // SAFETY: reports each field that is not skipped, once; dropping the
            // value runs no code of its own.
            #[automatically_derived]
            unsafe impl #impl_generics #krate::Trace for #name #type_generics #where_clause {
                #[inline]
                #[allow(unused_variables, clippy::match_single_binding)]
                fn trace(&self, tracer: &mut #krate::Tracer<'_>) {
                    #body
                }

                #[allow(unused_variables, clippy::match_single_binding)]
                fn fields(
                    &self,
                    visit: &mut dyn ::core::ops::FnMut(&'static str, &dyn #krate::Trace),
                ) {
                    #names
                }

                #[inline]
                fn can_refer() -> bool {
                    false #(|| #types)*
                }

                #finalizer
            }
        };
    })
}

/// The match arms that report the fields of a struct or variant, and name them.
fn arm(
    krate: &Path,
    path: &Tokens,
    fields: &Fields,
    types: &mut Vec<Tokens>,
) -> Result<(Tokens, Tokens)> {
    let (mut patterns, mut reports, mut visits) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in fields.iter().enumerate() {
        let variable = format_ident!("field_{index}");
        let (member, name) = match &field.ident {
            Some(name) => (quote!(#name), name.to_string()),
            None => {
                let index = syn::Index::from(index);
                (quote!(#index), index.index.to_string())
            }
        };
        if is_skipped(field)? {
            patterns.push(quote!(#member: _));
            continue;
        }
        let kind = &field.ty;
        patterns.push(quote!(#member: #variable));
        reports.push(quote_spanned!(kind.span()=> #krate::Trace::trace(#variable, tracer);));
        visits.push(quote_spanned!(kind.span()=> visit(#name, #variable);));
        types.push(quote_spanned!(kind.span()=> <#kind as #krate::Trace>::can_refer()));
    }
    let pattern = quote!(#path { #(#patterns),* });
    Ok((
        quote!(#pattern => { #(#reports)* }),
        quote!(#pattern => { #(#visits)* }),
    ))
}

/// Type parameters have to implement `Trace`.
fn with_bounds(mut generics: Generics, krate: &Path) -> Generics {
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#krate::Trace));
    }
    generics
}
