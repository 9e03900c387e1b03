// A dashboard's JSON, by Grafana's own types.
import type {
  AnnotationQuery,
  Dashboard,
  DashboardLink,
  FieldConfig,
  FieldConfigSource,
  Panel,
  RowPanel,
  VariableModel,
  VariableOption,
} from "@grafana/schema";
import type * as Heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as Table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** JSON has an enum's values where TypeScript has its members. */
type Json<T> = unknown extends T
  ? unknown
  : T extends string
    ? `${T}`
    : T extends number
      ? Value<T>
      : T extends readonly (infer Item)[]
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T]: Json<T[Key]> }
          : T;
type Value<T extends number> = `${T}` extends `${infer N extends number}` ? N : never;

/** What a panel leaves out of its options is its plugin's default. */
type Some<T> = unknown extends T
  ? unknown
  : T extends readonly (infer Item)[]
    ? Some<Item>[]
    : T extends object
      ? { [Key in keyof T]?: Some<T[Key]> }
      : T;

/** Of a type `T`, but for these. */
type With<T, Own> = Omit<T, keyof Own> & Own;

/** The schema's package has no data source's queries. */
interface Query {
  datasource: { type: "prometheus"; uid: string };
  editorMode: "code";
  expr: string;
  format: "time_series" | "table" | "heatmap";
  instant: boolean;
  legendFormat: string;
  range: boolean;
  refId: string;
}

type Of<Type extends string, Options, Custom> = With<
  Json<Panel>,
  {
    type: Type;
    options: Some<Json<Options>>;
    targets: Query[];
    fieldConfig: With<
      Json<FieldConfigSource>,
      { defaults: With<Json<FieldConfig>, { custom?: Some<Json<Custom>> }> }
    >;
    // A link to somewhere is a part of one to a dashboard.
    links: Some<Json<DashboardLink>>[];
  }
>;

type OnePanel =
  | Of<"stat", Stat.Options, {}>
  | Of<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>
  | Of<"heatmap", Heatmap.Options, Heatmap.FieldConfig>
  | Of<"table", Table.Options, Table.FieldConfig>;

type Row = With<Json<RowPanel>, { panels: OnePanel[] }>;

/** With what Grafana itself writes and the types leave out: a variable's query as a text, and that nothing is chosen yet. */
type Variable = With<
  Json<VariableModel>,
  { allValue?: string | null; current: Some<Json<VariableOption>>; definition?: string }
>;

/** With what is Prometheus's own. */
type Mark = With<
  Json<AnnotationQuery>,
  {
    target?: Pick<Query, "editorMode" | "expr" | "refId"> & { interval: string };
    titleFormat?: string;
    textFormat?: string;
    tagKeys?: string;
    useValueForTime?: boolean;
  }
>;

export type FleetDashboard = With<
  Json<Dashboard>,
  { annotations: { list: Mark[] }; panels: (OnePanel | Row)[]; templating: { list: Variable[] } }
>;
