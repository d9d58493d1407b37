// Command dump writes the pruned descriptor image of the Envoy API: the messages of roots.txt and everything
// they refer to, without deprecated fields, services and custom options.
//
// Usage: go run . <output file>
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"os"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

//go:embed roots.txt
var roots string

// closure is the set of messages and enums to keep, by full name.
type closure map[protoreflect.FullName]bool

func deprecated(field protoreflect.FieldDescriptor) bool {
	options, ok := field.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDeprecated()
}

func (keep closure) add(message protoreflect.MessageDescriptor) {
	if keep[message.FullName()] {
		return
	}
	keep[message.FullName()] = true
	fields := message.Fields()
	for i := 0; i < fields.Len(); i++ {
		field := fields.Get(i)
		if deprecated(field) {
			continue
		}
		if field.Message() != nil {
			keep.add(field.Message())
		}
		if field.Enum() != nil {
			keep[field.Enum().FullName()] = true
		}
	}
}

// prune returns the message with only what is kept, or nil when neither it nor anything nested in it is kept.
func (keep closure) prune(scope protoreflect.FullName, message *descriptorpb.DescriptorProto) *descriptorpb.DescriptorProto {
	name := scope.Append(protoreflect.Name(message.GetName()))
	nested := []*descriptorpb.DescriptorProto{}
	for _, inner := range message.NestedType {
		if kept := keep.prune(name, inner); kept != nil {
			nested = append(nested, kept)
		}
	}
	enums := keep.enums(name, message.EnumType)
	if !keep[name] && len(nested) == 0 && len(enums) == 0 {
		return nil
	}
	message.NestedType, message.EnumType, message.Extension = nested, enums, nil
	message.ReservedName, message.ReservedRange = nil, nil
	if message.GetOptions().GetMapEntry() {
		message.Options = &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}
	} else {
		message.Options = nil
	}
	if !keep[name] {
		message.Field, message.OneofDecl = nil, nil
		return message
	}
	pruneFields(message)
	return message
}

// pruneFields drops deprecated fields, and oneofs that have none left (their indices shift).
func pruneFields(message *descriptorpb.DescriptorProto) {
	fields := []*descriptorpb.FieldDescriptorProto{}
	used := map[int32]bool{}
	for _, field := range message.Field {
		if field.GetOptions().GetDeprecated() {
			continue
		}
		field.Options = nil
		if field.OneofIndex != nil {
			used[field.GetOneofIndex()] = true
		}
		fields = append(fields, field)
	}
	index := map[int32]int32{}
	oneofs := []*descriptorpb.OneofDescriptorProto{}
	for i, oneof := range message.OneofDecl {
		if !used[int32(i)] {
			continue
		}
		oneof.Options = nil
		index[int32(i)] = int32(len(oneofs))
		oneofs = append(oneofs, oneof)
	}
	for _, field := range fields {
		if field.OneofIndex != nil {
			field.OneofIndex = proto.Int32(index[field.GetOneofIndex()])
		}
	}
	message.Field, message.OneofDecl = fields, oneofs
}

func (keep closure) enums(scope protoreflect.FullName, enums []*descriptorpb.EnumDescriptorProto) []*descriptorpb.EnumDescriptorProto {
	kept := []*descriptorpb.EnumDescriptorProto{}
	for _, enum := range enums {
		if !keep[scope.Append(protoreflect.Name(enum.GetName()))] {
			continue
		}
		enum.Options, enum.ReservedName, enum.ReservedRange = nil, nil, nil
		for _, value := range enum.Value {
			value.Options = nil
		}
		kept = append(kept, enum)
	}
	return kept
}

// file returns the pruned file, or nil when nothing in it is kept. Its imports are set by image.
func (keep closure) file(descriptor protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	file := protodesc.ToFileDescriptorProto(descriptor)
	scope := protoreflect.FullName(file.GetPackage())
	messages := []*descriptorpb.DescriptorProto{}
	for _, message := range file.MessageType {
		if kept := keep.prune(scope, message); kept != nil {
			messages = append(messages, kept)
		}
	}
	file.MessageType, file.EnumType = messages, keep.enums(scope, file.EnumType)
	if len(file.MessageType) == 0 && len(file.EnumType) == 0 {
		return nil
	}
	file.Service, file.Extension, file.Options, file.SourceCodeInfo = nil, nil, nil, nil
	file.PublicDependency, file.WeakDependency, file.OptionDependency = nil, nil, nil
	return file
}

func references(messages []*descriptorpb.DescriptorProto, visit func(name protoreflect.FullName)) {
	for _, message := range messages {
		for _, field := range message.Field {
			if field.TypeName != nil {
				visit(protoreflect.FullName(strings.TrimPrefix(field.GetTypeName(), ".")))
			}
		}
		references(message.NestedType, visit)
	}
}

// imports are the files that hold what a file's fields refer to.
func imports(file *descriptorpb.FileDescriptorProto) []string {
	found := map[string]bool{}
	references(file.MessageType, func(name protoreflect.FullName) {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			panic(err)
		}
		if path := descriptor.ParentFile().Path(); path != file.GetName() {
			found[path] = true
		}
	})
	paths := []string{}
	for path := range found {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}

// sorted puts every file after those it imports, as descriptor sets must be, and otherwise by name.
func sorted(files map[string]*descriptorpb.FileDescriptorProto) []*descriptorpb.FileDescriptorProto {
	order, done := []*descriptorpb.FileDescriptorProto{}, map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if done[name] {
			return
		}
		done[name] = true
		for _, dependency := range files[name].Dependency {
			visit(dependency)
		}
		order = append(order, files[name])
	}
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		visit(name)
	}
	return order
}

func rootMessages() ([]protoreflect.MessageDescriptor, error) {
	found := []protoreflect.MessageDescriptor{}
	lines := bufio.NewScanner(strings.NewReader(roots))
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found = append(found, descriptor.(protoreflect.MessageDescriptor))
	}
	return found, nil
}

func image() ([]byte, int, error) {
	messages, err := rootMessages()
	if err != nil {
		return nil, 0, err
	}
	keep := closure{}
	for _, message := range messages {
		keep.add(message)
	}
	files := map[string]*descriptorpb.FileDescriptorProto{}
	protoregistry.GlobalFiles.RangeFiles(func(descriptor protoreflect.FileDescriptor) bool {
		if file := keep.file(descriptor); file != nil {
			file.Dependency = imports(file)
			files[file.GetName()] = file
		}
		return true
	})
	set := &descriptorpb.FileDescriptorSet{File: sorted(files)}
	if _, err := protodesc.NewFiles(set); err != nil {
		return nil, 0, fmt.Errorf("the pruned image is not complete: %w", err)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	return bytes, len(keep), err
}

func run(target string) error {
	raw, kept, err := image()
	if err != nil {
		return err
	}
	packed := bytes.Buffer{}
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := writer.Write(raw); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	fmt.Printf("%d messages and enums, %d bytes, %d compressed\n", kept, len(raw), packed.Len())
	return os.WriteFile(target, packed.Bytes(), 0o644)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . <output file>")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
