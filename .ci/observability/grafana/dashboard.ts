// A dashboard's JSON, by Grafana's own types.
import type { Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel } from "@grafana/schema";
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
type Value<T extends number> = number extends T ? number : `${T}` extends `${infer N extends number}` ? N : never;

/** What a panel leaves out of its options is its plugin's default. */
type Some<T> = unknown extends T
  ? unknown
  : T extends readonly (infer Item)[]
    ? Some<Item>[]
    : T extends object
      ? { [Key in keyof T]?: Some<T[Key]> }
      : T;

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

type Of<Type extends string, Options, Custom> = Omit<Json<Panel>, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  options: Some<Json<Options>>;
  targets: Query[];
  fieldConfig: Omit<Json<FieldConfigSource>, "defaults"> & {
    defaults: Omit<Json<FieldConfig>, "custom"> & { custom?: Some<Json<Custom>> };
  };
};

type OnePanel =
  | Of<"stat", Stat.Options, {}>
  | Of<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>
  | Of<"heatmap", Heatmap.Options, Heatmap.FieldConfig>
  | Of<"table", Table.Options, Table.FieldConfig>;

type Row = Omit<Json<RowPanel>, "panels"> & { panels: OnePanel[] };

export type FleetDashboard = Omit<Json<Dashboard>, "panels"> & { panels: (OnePanel | Row)[] };
