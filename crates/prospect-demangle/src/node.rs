//! What a mangled name says, as a graph of small nodes in one vector.

/// A node of a [`Tree`]. Nodes refer to earlier ones only, so there are no cycles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// Whether there is no node.
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Where it is in vectors that have one element for each node.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A list of nodes in a [`Tree`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ListId(u32);

/// A part of the mangled name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// `const`, `volatile`, `restrict` of a type; of a function also `&` and `&&` behind its parameters, and
/// `transaction_safe`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Qualifiers(u8);

impl Qualifiers {
    pub(crate) const CONST: Self = Self(1);
    pub(crate) const VOLATILE: Self = Self(2);
    pub(crate) const RESTRICT: Self = Self(4);
    pub(crate) const LVALUE: Self = Self(8);
    pub(crate) const RVALUE: Self = Self(16);
    pub(crate) const TRANSACTION_SAFE: Self = Self(32);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One of [`OPERATORS`](crate::operators::OPERATORS).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OperatorId(pub(crate) u8);

/// Text that is not of the mangled name: a pointer to it takes less room.
pub(crate) type Text = &'static &'static str;

/// One thing that a name is made of. Where a node may be missing, it is [`NodeId::NONE`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    // Names.
    /// As it stands in the mangled name: identifiers, numbers.
    Source(Span),
    /// Fixed words: `std`, `auto`, `int`.
    Text(Text),
    /// A builtin type of [`BUILTINS`](crate::builtins::BUILTINS).
    Builtin(u8),
    /// Fixed words, and a node behind them: `vtable for A`.
    Prefixed {
        prefix: Text,
        node: NodeId,
    },
    /// `scope::name`
    Nested {
        scope: NodeId,
        name: NodeId,
    },
    /// `name<arguments>`
    Template {
        name: NodeId,
        arguments: ListId,
    },
    /// `function::entity`
    Local {
        function: NodeId,
        entity: NodeId,
    },
    /// `{default arg#number}::entity`
    DefaultArgument {
        number: u32,
        entity: NodeId,
    },
    /// A constructor of the class of this plain name.
    Constructor(NodeId),
    /// The same with `~`.
    Destructor(NodeId),
    /// `{lambda<head>(parameters)#number}`
    Closure {
        head: ListId,
        parameters: ListId,
        number: u32,
    },
    /// `{unnamed type#number}`
    Unnamed {
        number: u32,
    },
    /// `name[abi:tag]`
    Tagged {
        name: NodeId,
        tag: NodeId,
    },
    /// `operator+`
    Operator(OperatorId),
    /// `operator type`
    Conversion(NodeId),
    /// `operator"" name`
    LiteralOperator(NodeId),
    /// `[a, b]`: the variables of a structured binding.
    Binding(ListId),
    /// `name@module`
    InModule {
        name: NodeId,
        module: NodeId,
    },
    /// `parent.name` or, for a partition, `parent:name`
    ModulePart {
        parent: NodeId,
        name: NodeId,
        is_partition: bool,
    },
    /// The name of a member function with what is written behind its parameters.
    MemberQualified {
        name: NodeId,
        qualifiers: Qualifiers,
    },
    /// A function: its name and its type.
    Encoding {
        name: NodeId,
        function: NodeId,
    },
    /// `construction vtable for part-in-whole`
    ConstructionVtable {
        part: NodeId,
        whole: NodeId,
    },
    /// `reference temporary #number for name`
    ReferenceTemporary {
        number: u32,
        name: NodeId,
    },
    /// `function [clone .suffix]…`
    Clone {
        function: NodeId,
        suffixes: Span,
    },

    // Types.
    Pointer(NodeId),
    LValue(NodeId),
    RValue(NodeId),
    Qualified {
        inner: NodeId,
        qualifiers: Qualifiers,
    },
    /// `inner name`
    VendorQualified {
        inner: NodeId,
        name: NodeId,
    },
    /// `inner word`: `float _Complex`
    Suffixed {
        inner: NodeId,
        suffix: Text,
    },
    /// `result (parameters) extra`; no result where it is not known or not said.
    Function {
        result: NodeId,
        parameters: ListId,
        extra: NodeId,
    },
    /// What is behind a function's parameters.
    FunctionExtra {
        qualifiers: Qualifiers,
        exceptions: NodeId,
        has_object: bool,
    },
    /// `noexcept(condition)`, or `noexcept` alone.
    Noexcept(NodeId),
    /// `throw(types)`
    Throws(ListId),
    /// `element [bound]`
    Array {
        element: NodeId,
        bound: NodeId,
    },
    /// `element __vector(bound)`
    Vector {
        element: NodeId,
        bound: NodeId,
    },
    /// `member class::*`
    MemberPointer {
        class: NodeId,
        member: NodeId,
    },
    /// `decltype (expression)`
    Decltype(NodeId),
    /// `_BitInt(size)`
    BitInt {
        size: NodeId,
        is_unsigned: bool,
    },
    /// `constraint auto`
    Constrained {
        constraint: NodeId,
        placeholder: Text,
    },
    /// Arguments that stand for one template parameter.
    Pack(ListId),
    /// Once for each element of the pack in it.
    Expansion(NodeId),
    /// The template parameter of this number.
    Parameter(u32),

    // Parameters in the head of a lambda's template.
    HeadType,
    HeadValue(NodeId),
    HeadTemplate(ListId),
    HeadPack(NodeId),

    // Expressions.
    /// A value of a type; its text, where it has one.
    Literal {
        of: NodeId,
        value: NodeId,
        is_negative: bool,
    },
    Unary {
        operator: OperatorId,
        operand: NodeId,
    },
    Postfix {
        operator: OperatorId,
        operand: NodeId,
    },
    Binary {
        operator: OperatorId,
        left: NodeId,
        right: NodeId,
    },
    Conditional {
        condition: NodeId,
        then: NodeId,
        otherwise: NodeId,
    },
    /// `sizeof (type)`
    OfType {
        operator: OperatorId,
        of: NodeId,
    },
    /// `static_cast<type>(operand)`
    NamedCast {
        operator: OperatorId,
        to: NodeId,
        operand: NodeId,
    },
    /// `(type)operand`
    Cast {
        to: NodeId,
        operand: NodeId,
    },
    /// `(expressions)`
    Parenthesized(ListId),
    /// `type{expressions}`; the type may be missing.
    Braced {
        of: NodeId,
        items: ListId,
    },
    Call {
        callee: NodeId,
        arguments: ListId,
    },
    New {
        placement: ListId,
        of: NodeId,
        initializer: NodeId,
    },
    /// `::expression`
    Global(NodeId),
    /// `(left op ... op right)`, where one side may be missing.
    Fold {
        operator: OperatorId,
        left: NodeId,
        right: NodeId,
    },
    /// `.name=value`
    DesignatedField {
        name: NodeId,
        value: NodeId,
    },
    /// `[index]=value`
    DesignatedIndex {
        index: NodeId,
        value: NodeId,
    },
    /// `[first ... last]=value`
    DesignatedRange {
        first: NodeId,
        last: NodeId,
        value: NodeId,
    },
    /// `{parm#number}`
    FunctionParameter(u32),
    /// How many elements the pack in it has.
    PackSize(NodeId),
    /// How many arguments these are.
    ArgumentCount(ListId),
    /// `name(arguments)`
    VendorExpression {
        name: NodeId,
        arguments: ListId,
    },
    /// `base.<type at offset N>`
    Subobject {
        of: NodeId,
        base: NodeId,
        offset: NodeId,
    },
    /// `requires (parameters) {requirements}`
    Requires {
        parameters: ListId,
        requirements: ListId,
    },
    /// One requirement of an expression: what it is, `noexcept`, and what its type must be.
    Requirement {
        expression: NodeId,
        constraint: NodeId,
        is_noexcept: bool,
    },
    /// `entity requires condition`
    Constraint {
        entity: NodeId,
        condition: NodeId,
    },
}

/// All nodes of one name, in vectors that are used again for the next.
#[derive(Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Lists: their length, then their items.
    lists: Vec<u32>,
}

impl Tree {
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.lists.clear();
        self.lists.push(0);
    }

    /// The list without items.
    pub(crate) const EMPTY: ListId = ListId(0);

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, id: NodeId) -> Node {
        self.nodes[id.index()]
    }

    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId((self.nodes.len() - 1) as u32)
    }

    pub(crate) fn add_list(&mut self, items: &[NodeId]) -> ListId {
        if items.is_empty() {
            return Self::EMPTY;
        }
        let id = ListId(self.lists.len() as u32);
        self.lists.push(items.len() as u32);
        self.lists.extend(items.iter().map(|item| item.0));
        id
    }

    pub(crate) fn list_len(&self, list: ListId) -> usize {
        self.lists[list.0 as usize] as usize
    }

    pub(crate) fn item(&self, list: ListId, index: usize) -> Option<NodeId> {
        (index < self.list_len(list)).then(|| NodeId(self.lists[list.0 as usize + 1 + index]))
    }

    pub(crate) fn items(&self, list: ListId) -> impl Iterator<Item = NodeId> + '_ {
        let start = list.0 as usize + 1;
        self.lists[start..start + self.list_len(list)].iter().map(|item| NodeId(*item))
    }

    /// Calls `visit` for every node that `node` refers to.
    pub(crate) fn each_child(&self, node: Node, mut visit: impl FnMut(NodeId)) {
        let mut one = |id: NodeId| {
            if !id.is_none() {
                visit(id);
            }
        };
        match node {
            Node::Source(_)
            | Node::Text(_)
            | Node::Builtin(_)
            | Node::Unnamed { .. }
            | Node::Operator(_)
            | Node::Binding(_)
            | Node::Parameter(_)
            | Node::HeadType
            | Node::FunctionParameter(_) => {}
            Node::Prefixed { node: child, .. }
            | Node::DefaultArgument { entity: child, .. }
            | Node::Constructor(child)
            | Node::Destructor(child)
            | Node::Conversion(child)
            | Node::LiteralOperator(child)
            | Node::MemberQualified { name: child, .. }
            | Node::ReferenceTemporary { name: child, .. }
            | Node::Clone { function: child, .. }
            | Node::Pointer(child)
            | Node::LValue(child)
            | Node::RValue(child)
            | Node::Qualified { inner: child, .. }
            | Node::Suffixed { inner: child, .. }
            | Node::FunctionExtra { exceptions: child, .. }
            | Node::Noexcept(child)
            | Node::Decltype(child)
            | Node::BitInt { size: child, .. }
            | Node::Constrained { constraint: child, .. }
            | Node::Expansion(child)
            | Node::HeadValue(child)
            | Node::HeadPack(child)
            | Node::Unary { operand: child, .. }
            | Node::Postfix { operand: child, .. }
            | Node::OfType { of: child, .. }
            | Node::Global(child)
            | Node::PackSize(child) => one(child),
            Node::Nested { scope: first, name: second }
            | Node::Local { function: first, entity: second }
            | Node::Tagged { name: first, tag: second }
            | Node::InModule { name: first, module: second }
            | Node::ModulePart { parent: first, name: second, .. }
            | Node::Encoding { name: first, function: second }
            | Node::ConstructionVtable { part: first, whole: second }
            | Node::VendorQualified { inner: first, name: second }
            | Node::Array { element: first, bound: second }
            | Node::Vector { element: first, bound: second }
            | Node::MemberPointer { class: first, member: second }
            | Node::Literal { of: first, value: second, .. }
            | Node::Binary { left: first, right: second, .. }
            | Node::NamedCast { to: first, operand: second, .. }
            | Node::Cast { to: first, operand: second }
            | Node::Fold { left: first, right: second, .. }
            | Node::DesignatedField { name: first, value: second }
            | Node::DesignatedIndex { index: first, value: second }
            | Node::Requirement { expression: first, constraint: second, .. }
            | Node::Constraint { entity: first, condition: second } => {
                one(first);
                one(second);
            }
            Node::Conditional { condition: first, then: second, otherwise: third }
            | Node::DesignatedRange { first, last: second, value: third }
            | Node::Subobject { of: first, base: second, offset: third } => {
                one(first);
                one(second);
                one(third);
            }
            Node::Template { name: child, arguments: list }
            | Node::Braced { of: child, items: list }
            | Node::Call { callee: child, arguments: list }
            | Node::VendorExpression { name: child, arguments: list } => {
                one(child);
                self.items(list).for_each(visit);
            }
            Node::Function { result, parameters, extra } => {
                one(result);
                one(extra);
                self.items(parameters).for_each(visit);
            }
            Node::New { placement, of, initializer } => {
                one(of);
                one(initializer);
                self.items(placement).for_each(visit);
            }
            Node::Throws(list)
            | Node::Pack(list)
            | Node::HeadTemplate(list)
            | Node::Parenthesized(list)
            | Node::ArgumentCount(list) => self.items(list).for_each(visit),
            Node::Closure { head: first, parameters: second, .. }
            | Node::Requires { parameters: first, requirements: second } => {
                self.items(first).chain(self.items(second)).for_each(visit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        assert_eq!(size_of::<Node>(), 16);
    }
}
